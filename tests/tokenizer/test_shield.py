"""Templates that look for special tokens in messages see them, and yet no message becomes one.

The witness is `transformers`: a template is rendered as there, with and without shields.
"""

from __future__ import annotations

import pytest
from gguf_files import vocabulary
from hypothesis import given, settings
from hypothesis import strategies as st

from pyllama3.errors import TemplateError
from pyllama3.tokenizer.chat_template import ChatTemplate, encode_chat, find_template
from pyllama3.tokenizer.shield import shielded, without_shields
from pyllama3.tokenizer.tokenizer import Tokenizer
from pyllama3.tokenizer.vocabulary import read_gguf_vocabulary

SPECIAL = ("<|turn|>", "<think>", "</think>", "<|end|>")
TOKENIZER = Tokenizer.from_gguf(vocabulary(SPECIAL))
THOUGHTS = (
    "{% for m in messages %}{{ '<|turn|>' + m.role }}\n"
    "{%- if '</think>' in m.content %}{{ '<think>' + m.content.split('</think>')[0].replace('<think>', '') }}</think>"
    "{{ m.content.split('</think>')[-1] }}{% else %}{{ m.content }}{% endif %}<|end|>{% endfor %}"
)


def template(source: str) -> ChatTemplate:
    return ChatTemplate(source, bos="", eos="<|end|>")


def test_a_thought_is_cut_out_of_a_message() -> None:
    messages = [{"role": "assistant", "content": "<think>hm</think>yes <|end|>"}]
    ids = encode_chat(TOKENIZER, template(THOUGHTS), messages)
    names = [TOKENIZER.token_name(id) for id in ids if TOKENIZER.is_special(id)]
    assert names == ["<|turn|>", "<think>", "</think>", "<|end|>"]
    assert TOKENIZER.decode(ids) == "<|turn|>assistant<think>hm</think>yes <|end|><|end|>"


words = st.lists(st.sampled_from([*SPECIAL, "<", "</", "think>", " ", "a", "\U0010fffe", "\U0010ffff"])).map("".join)


@settings(max_examples=300, deadline=None)
@given(words)
def test_shields_change_neither_the_text_nor_who_writes_special_tokens(content: str) -> None:
    messages = [{"role": "user", "content": content}]
    shown = template(THOUGHTS).render_shielded(messages, SPECIAL)
    plain = template(THOUGHTS).render(messages)
    assert without_shields(shown) == without_shields(plain.replace("\U0010fffe", "\ufffd"))
    special = [part for part in TOKENIZER.split_special(shown) if isinstance(part, int)]
    names = [TOKENIZER.token_name(id) for id in special]
    thought = ["<think>", "</think>"] if "</think>" in content else []
    assert names == ["<|turn|>", *thought, "<|end|>"]


def test_named_templates_and_tools() -> None:
    both = ChatTemplate({"default": "d", "tool_use": "t{{ tools[0].x }}"}, bos="", eos="")
    user = [{"role": "user", "content": "Hi"}]
    assert (both.render(user), both.render(user, tools=[{"x": 1}]), both.source) == ("d", "t1", "d")
    rag = ChatTemplate({"rag": "r"}, bos="", eos="")
    with pytest.raises(TemplateError, match="the model has chat templates named rag, of which none is the default"):
        rag.render(user)


def test_the_generation_tag_is_as_if_it_were_not_there() -> None:
    source = "{% set x = 1 %}{% generation %}{% set x = 2 %}{{ messages[0].content }}{% endgeneration %}{{ x }}"
    assert template(source).render([{"role": "user", "content": "Hi"}]) == "Hi1"


def test_parts_are_joined_or_given_to_templates_that_take_them() -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]
    assert template("{{ messages[0].content }}").render(messages) == "a\nb"
    taking = "{% for part in messages[0].content %}[{{ part.text }}]{% endfor %}"
    assert template(taking).render(messages) == "[a][b]"


def test_what_templates_know_of_messages_and_tokens() -> None:
    metadata = vocabulary(SPECIAL) | {"tokenizer.ggml.padding_token_id": 5}
    source = {"default": "{{ pad_token }}{{ unk_token }}|{{ messages[0].reasoning_content }}|{{ messages[0].content }}"}
    found = find_template(source, read_gguf_vocabulary(metadata))
    assert found is not None
    pad = metadata["tokenizer.ggml.tokens"][5]
    assert found.render([{"role": "assistant", "content": None, "thinking": "hm"}]) == f"{pad}|hm|"


@given(
    st.lists(st.text("<|ab >", min_size=1, max_size=4), min_size=1, max_size=5),
    st.text("<|ab >", max_size=12),
)
def test_names_are_shielded_wherever_they_begin(names: list[str], text: str) -> None:
    """One place after the other is looked at, as nobody would for long texts."""
    shield, end = "\U0010ffff", len(text.rstrip())

    def begins(at: int) -> bool:
        return any(text.startswith(name, at) or (at < end and name.startswith(text[at:end])) for name in names)

    expected = "".join(character + shield * begins(at) for at, character in enumerate(text))
    assert shielded(text, names) == expected
