"""A conversation with a model: messages, and the session that has read them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .chat import check_messages
from .errors import OptionError, PyLlama3Error
from .files import replacing
from .generation import Piece
from .model import Llama

Message = dict[str, Any]


class Conversation:
    """Messages in OpenAI's form. Only what has changed since the last answer is evaluated again."""

    def __init__(self, llm: Llama, *, system: str | None = None) -> None:
        """Begin with no messages but the system message."""
        self.llm = llm
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
        self.messages = rest if text is None else [{"role": "system", "content": text}, *rest]

    def ask(self, text: str, **options: Any) -> Iterator[Piece]:
        """Answer a message; `options` are those of `Llama.generate`.

        What was said stays in the conversation, also when the answer is broken off; a question without any answer
        does not.

        Raises:
            PyLlama3Error: see `Llama.chat`.
        """
        self.messages.append({"role": "user", "content": text})
        try:
            pieces = self.llm.chat(self.messages, session=self.session, **options)
        except PyLlama3Error:
            self.messages.pop()
            raise
        return self._listen(pieces)

    def undo(self) -> str:
        """Forget the last question and its answer, and return the question.

        Raises:
            OptionError: there is none.
        """
        for at in reversed(range(len(self.messages))):
            if self.messages[at]["role"] == "user":
                question: str = self.messages[at]["content"]
                del self.messages[at:]
                return question
        raise OptionError("there is no question to take back")

    def clear(self) -> None:
        """Forget all messages but the system message."""
        system = self.system
        self.messages = []
        self.system = system

    def save(self, path: Path) -> None:
        """Write the messages as {"messages": [...]}.

        Raises:
            OptionError: the file cannot be written.
        """
        text = json.dumps({"messages": self.messages}, ensure_ascii=False, indent=1) + "\n"
        try:
            with replacing(path) as file:
                file.write(text.encode())
        except OSError as error:
            raise OptionError(f"{path}: cannot be written: {error.strerror}") from error

    def load(self, path: Path) -> None:
        """Continue a conversation that was saved.

        Raises:
            OptionError: the file cannot be read, or is not a conversation.
        """
        self.messages = read_messages(path)

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
    try:
        content = json.loads(path.read_bytes())
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
