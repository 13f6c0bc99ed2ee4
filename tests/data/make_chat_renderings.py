"""Make chat_renderings.json: conversations, and what Hugging Face's `apply_chat_template` makes of them.

    pip install '.[witness]'
    PYTHONPATH=.:tests/support python tests/data/make_chat_renderings.py

The templates are their makers' and are not kept here, only their SHA-256: tests/support/chat_templates.py finds them.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from chat_templates import NAMES, load_template
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

BOS, EOS = "<|begin_of_text|>", "<|eot_id|>"
DATE = "2024-07-26"
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Tell the weather <now> & here",
            "parameters": {"type": "object", "properties": {"city": {"type": "string", "enum": ["Zürich", "Oslo"]}}},
        },
    }
]
CALL = {"type": "function", "id": "1", "function": {"name": "get_weather", "arguments": {"city": "Zürich"}}}
SYSTEM = {"role": "system", "content": "Be brief.\n"}
USER = {"role": "user", "content": ' What\'s up in "Zürich"? <b>\n'}
ASSISTANT = {"role": "assistant", "content": "\nNothing much.  "}
CONVERSATIONS: dict[str, dict[str, Any]] = {
    "user": {"messages": [USER]},
    "system": {"messages": [SYSTEM, USER]},
    "turns": {"messages": [SYSTEM, USER, ASSISTANT, {"role": "user", "content": "日本 🦙"}]},
    "complete": {"messages": [USER, ASSISTANT], "add_generation_prompt": False},
    "continued": {"messages": [USER, ASSISTANT], "continue_final_message": True},
    "continued in a word": {
        "messages": [SYSTEM, USER, {"role": "assistant", "content": "Noth"}],
        "continue_final_message": True,
    },
    "tools": {"messages": [SYSTEM, USER], "tools": TOOLS},
    "tool result": {
        "messages": [
            USER,
            {"role": "assistant", "content": "", "tool_calls": [CALL]},
            {"role": "tool", "content": "sunny", "tool_call_id": "1"},
        ],
        "tools": TOOLS,
    },
}


def main() -> None:
    """Write the file beside this script."""
    templates = {}
    for template in NAMES:
        source = load_template(template)
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=Tokenizer(WordLevel({BOS: 0, EOS: 1}, unk_token=BOS)), bos_token=BOS, eos_token=EOS
        )
        renderings = {name: _rendered(tokenizer, source, case) for name, case in CONVERSATIONS.items()}
        templates[template] = {"sha256": hashlib.sha256(source.encode()).hexdigest(), "renderings": renderings}
    content = {"date": DATE, "bos": BOS, "eos": EOS, "conversations": CONVERSATIONS, "templates": templates}
    target = Path(__file__).with_name("chat_renderings.json")
    target.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _rendered(tokenizer: PreTrainedTokenizerFast, source: str, conversation: dict[str, Any]) -> str | None:
    """Return what they make of a conversation; None if they refuse to."""
    options = {key: value for key, value in conversation.items() if key != "messages"}
    options.setdefault("add_generation_prompt", "continue_final_message" not in options)
    # what strftime_now gives on DATE; templates with a date of their own take it, too
    options |= {"date_string": "26 Jul 2024"} if "strftime_now" in source else {}
    try:
        text: str = tokenizer.apply_chat_template(
            conversation["messages"], chat_template=source, tokenize=False, **options
        )
    except ValueError:
        return None
    return text


if __name__ == "__main__":
    main()
