"""Chat templates for models which bring none, by the token that ends their texts."""

from __future__ import annotations

LLAMA3 = """\
{{- bos_token }}
{%- for message in messages %}
    {{- "<|start_header_id|>" + message["role"] + "<|end_header_id|>\\n\\n" }}
    {{- (message["content"] or "").strip() + "<|eot_id|>" }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- "<|start_header_id|>assistant<|end_header_id|>\\n\\n" }}
{%- endif %}
"""
"""Llama 3's format (meta-llama/llama-models, llama3/chat_format.py)."""

CHATML = """\
{%- for message in messages %}
    {{- "<|im_start|>" + message["role"] + "\\n" + (message["content"] or "") + "<|im_end|>\\n" }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- "<|im_start|>assistant\\n" }}
{%- endif %}
"""

BY_END_TOKEN = {"<|eot_id|>": LLAMA3, "<|im_end|>": CHATML}
"""A base model has these tokens too, but only a chat model ends its texts with them."""
