"""A conversation with a model: messages, and the session that has read them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import file_path, instance
from .errors import OptionError, PyLlama3Error
from .files import json_bytes, replacing
from .foreign import parse_json, read_whole
from .generation.generation import Piece
from .generation.options import TextOptions
from .model import Llama
from .tokenizer.messages import check_messages

if TYPE_CHECKING:
    from typing_extensions import Unpack

Message = dict[str, Any]

_MAX_BYTES = 1 << 26
"""Of a saved conversation; the longest context is some 500 KB of text."""


class Conversation:
    """Messages in OpenAI's form. Only what has changed since the last answer is evaluated again."""

    def __init__(self, llm: Llama, *, system: str | None = None) -> None:
        """Begin with no messages but the system message."""
        self.llm = instance("llm", llm, Llama, "a Llama")
        self.session = llm.session()
        self.messages: list[Message] = []
        self.system = system

    @property
    def system(self) -> str | None:
        """The system message in front of all others, if there is one."""
        first = self.messages[0] if self.messages else {}
        return first["content"] if first.get("role") == "system" else None

    @system.setter
    def system(self, text: str | None) -> None:
        rest = self.messages[0 if self.system is None else 1 :]
        self._replace(rest if text is None else [{"role": "system", "content": text}, *rest])

    def ask(self, text: str, **options: Unpack[TextOptions]) -> Iterator[Piece]:
        """Answer a message; `options` are those of `Llama.generate`.

        What was said stays in the conversation, also when the answer is broken off; a question without any answer
        does not.

        Raises:
            PyLlama3Error: see `Llama.chat`; the messages are as before.
        """
        return self._answer([*self.messages, {"role": "user", "content": text}], options)

    def ask_again(self, **options: Unpack[TextOptions]) -> Iterator[Piece]:
        """Answer the last question once more, in place of its answer.

        Raises:
            OptionError: there is none.
            PyLlama3Error: see `ask`.
        """
        return self._answer(self.messages[: self._find_question() + 1], options)

    def undo(self) -> str:
        """Forget the last question and its answer, and return the question.

        Raises:
            OptionError: there is none.
        """
        at = self._find_question()
        question: str = self.messages[at]["content"]
        self._replace(self.messages[:at])
        return question

    def drop_oldest(self) -> str:
        """Forget the first question and its answer, which makes room for others, and return the question.

        Raises:
            OptionError: there is none.
        """
        first = 0 if self.system is None else 1
        if len(self.messages) <= first:
            raise OptionError("there is no first question")
        question: str = self.messages[first]["content"]
        rest = self.messages[first + 1 :]
        while rest and rest[0]["role"] != "user":
            rest = rest[1:]
        self._replace(self.messages[:first] + rest)
        return question

    def with_model(self, llm: Llama) -> Conversation:
        """Return the same conversation with another model."""
        other = Conversation(llm)
        other._replace(self.messages)
        return other

    def clear(self) -> None:
        """Forget all messages but the system message."""
        self._replace([] if self.system is None else self.messages[:1])

    def save(self, path: Path, *, private: bool = False) -> None:
        """Write the messages as {"messages": [...]}, if `private` for the user's eyes only.

        Raises:
            OptionError: the file cannot be written.
        """
        path = file_path("the path", path)
        try:
            with replacing(path, private=private) as file:
                file.write(json_bytes({"messages": self.messages}, indent=1) + b"\n")
        except OSError as error:
            raise OptionError(f"{path}: cannot be written: {error.strerror}") from error

    def load(self, path: Path) -> None:
        """Continue a conversation that was saved.

        Raises:
            OptionError: the file cannot be read, or is not a conversation.
        """
        self._replace(read_messages(path))

    def _replace(self, messages: list[Message]) -> None:
        """Take other messages, and let the session forget all but the beginning that they have in common."""
        if messages:
            self.session.reuse(self.llm.encode_chat(messages))
        else:
            self.session.rewind(0)
        self.messages = messages

    def _find_question(self) -> int:
        for at in reversed(range(len(self.messages))):
            if self.messages[at]["role"] == "user":
                return at
        raise OptionError("there is no last question")

    def _answer(self, messages: list[Message], options: TextOptions) -> Iterator[Piece]:
        options["session"] = self.session
        pieces = self.llm.chat(messages, **options)
        self.messages = messages
        return self._listen(pieces)

    def _listen(self, pieces: Iterator[Piece]) -> Iterator[Piece]:
        answer = ""
        try:
            for piece in pieces:
                answer += piece.text
                yield piece
        finally:
            if answer:
                self.messages.append({"role": "assistant", "content": answer})
            else:
                self.messages.pop()


def read_messages(path: Path) -> list[Message]:
    """Read a file with {"messages": [...]}, or with just the array.

    Raises:
        OptionError: the file cannot be read, or is not a conversation.
    """
    path = file_path("the path", path)
    try:
        content = parse_json(read_whole(path, max_bytes=_MAX_BYTES, regular=False))
    except (OSError, ValueError) as error:
        raise OptionError(f"{path}: {getattr(error, 'strerror', None) or f'not JSON: {error}'}") from error
    messages = content.get("messages") if isinstance(content, dict) else content
    if not isinstance(messages, list):
        raise OptionError(f'{path}: found no messages; a conversation is {{"messages": [{{"role", "content"}}, ...]}}')
    try:
        check_messages(messages)
    except PyLlama3Error as error:
        raise OptionError(f"{path}: {error}") from error
    return messages
