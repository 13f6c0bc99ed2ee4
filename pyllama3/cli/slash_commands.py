"""What a line of a conversation does: a question, or a command that begins with a slash."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from ..conversation import Conversation
from ..errors import ContextError, OptionError
from ..foreign import printable
from ..generation.generation import Piece, Statistics
from ..model import Llama
from .answer import print_pieces, why_cut
from .lines import Line
from .output import say
from .settings import changed, find_setting, rows

_ROOM = "/drop forgets the oldest question, /undo the last, /clear all"
_REMEDIES = {
    "length": "/set n changes that",
    "context": _ROOM,
    "loop": "/set temp or /set repeat-penalty changes how it speaks",
}
_MARK = "\0"
"""A message that no template has in it."""

Show = Callable[[Iterable[Piece]], object]


class Chat:
    """A conversation that is held by lines of text."""

    def __init__(
        self,
        conversation: Conversation,
        options: dict[str, Any],
        *,
        load: Callable[[str], Llama],
        show: Show = print_pieces,
        confirm: Callable[[str], object] = lambda text: None,
    ) -> None:
        """Begin.

        Args:
            conversation: what was said before.
            options: those of `Llama.generate`.
            load: loads a model by its name.
            show: writes an answer.
            confirm: is told what a command has done.
        """
        self.conversation = conversation
        self.options = options
        self.stats: Statistics | None = None
        """Of the last answer."""
        self._load_model = load
        self._show_answer = show
        self._confirm = confirm

    def handle(self, line: Line) -> bool:
        """Do what a line says; return whether the conversation goes on.

        Raises:
            PyLlama3Error: it cannot be done; the conversation is as before.
        """
        name, _, argument = line.text[1:].partition(" ")
        if line.is_quoted or not line.text.startswith("/") or _is_path(name):
            self._answer(lambda: self.conversation.ask(line.text, **self.options))
            return True
        name = ALIASES.get(name, name)
        if name == "quit":
            return False
        if name not in COMMANDS:
            raise OptionError(f"there is no command /{name}; /help shows them all")
        COMMANDS[name].function(self, argument.strip())
        return True

    def status(self) -> str:
        """Return how full the context is, and how fast the last answer came."""
        session = self.conversation.session
        speed = f" | {self.stats.speed:.1f} tokens/s" if self.stats else ""
        return f"{session.position} of {session.context} tokens{speed} | {printable(self.conversation.llm.config.name)}"

    def _answer(self, ask: Callable[[], Iterator[Piece]]) -> None:
        try:
            pieces = ask()
        except ContextError as error:
            raise ContextError(f"{error}; {_ROOM}") from error
        # an answer that is broken off is in the conversation when the generator is closed, not at some time later
        with closing(self._watched(pieces)) as watched:
            self._show_answer(watched)
        if self.stats and (cut := why_cut(self.stats, self.options.get("grammar"))):
            say(f"pyllama3: {cut}; {_REMEDIES[str(self.stats.finish_reason)]}", err=True)

    def _watched(self, pieces: Iterator[Piece]) -> Generator[Piece, None, None]:
        """Keep the statistics, also of an answer that is broken off."""
        for piece in pieces:
            self.stats = piece.stats
            yield piece

    def _help(self, _argument: str) -> None:
        for name, command in COMMANDS.items():
            say(f"{f'/{name} {command.argument}':18} {command.help}")
        say('"""                the message goes on until the next """')

    def _set(self, argument: str) -> None:
        name, _, value = argument.partition(" ")
        option = find_setting(name)
        self.options = changed(self.options, option, value.strip())
        values = dict(rows(self.options, self.conversation.llm.sampling))
        shown = option.replace("_", "-")
        self._confirm(f"{shown} is {values[shown]}")

    def _show(self, _argument: str) -> None:
        llm = self.conversation.llm
        say(f"{'model':18} {printable(llm.config.name)}")
        say(f"{'system':18} {self.conversation.system or _own_system(llm)}")
        for name, value in rows(self.options, llm.sampling):
            say(f"{name:18} {value}")

    def _system(self, argument: str) -> None:
        self.conversation.system = argument or None
        self._confirm(f"the system message is {argument!r}" if argument else "there is no system message of yours")

    def _model(self, argument: str) -> None:
        if not argument:
            say(printable(self.conversation.llm.config.name))
            return
        llm = self._load_model(argument)
        before = self.conversation
        self.conversation = before.with_model(llm)
        self.options.pop("draft", None)  # its vocabulary may be another one
        before.session.close()
        before.llm.close()
        count = len(self.conversation.messages)
        self._confirm(f"{printable(llm.config.name)} goes on with {_messages(count)}")

    def _save(self, argument: str) -> None:
        path = _path(argument)
        self.conversation.save(path)
        self._confirm(f"{_messages(len(self.conversation.messages))} saved as {printable(str(path))}")

    def _load(self, argument: str) -> None:
        self.conversation.load(_path(argument))
        self._confirm(_messages(len(self.conversation.messages)))

    def _regen(self, _argument: str) -> None:
        self._answer(lambda: self.conversation.ask_again(**self.options))

    def _undo(self, _argument: str) -> None:
        self._confirm(f"taken back: {_short(self.conversation.undo())}")

    def _drop(self, _argument: str) -> None:
        self._confirm(f"forgotten: {_short(self.conversation.drop_oldest())}")

    def _clear(self, _argument: str) -> None:
        before = len(self.conversation.messages)
        self.conversation.clear()
        self._confirm(f"{_messages(before - len(self.conversation.messages))} forgotten")

    def _context(self, _argument: str) -> None:
        tokenizer, session = self.conversation.llm.tokenizer, self.conversation.session
        say(tokenizer.decode(session.ids))
        say(f"{session.position} of {session.context} tokens")

    def _quit(self, _argument: str) -> None:
        """`handle` sees to it."""


class Command:
    """A command, for /help, completion and `Chat.handle`."""

    def __init__(self, function: Callable[[Chat, str], None], argument: str, help: str) -> None:
        self.function = function
        self.argument = argument
        self.help = help


COMMANDS = {
    "help": Command(Chat._help, "", "show the commands"),
    "set": Command(Chat._set, "NAME VALUE", "change a setting by the name of its flag, as in /set temp 0.7"),
    "show": Command(Chat._show, "", "show the settings"),
    "system": Command(Chat._system, "[TEXT]", "set the system message, or remove it"),
    "model": Command(Chat._model, "[MODEL]", "go on with another model"),
    "save": Command(Chat._save, "FILE", "write the conversation to a file"),
    "load": Command(Chat._load, "FILE", "continue the conversation of a file"),
    "regen": Command(Chat._regen, "", "answer the last question again"),
    "undo": Command(Chat._undo, "", "take the last question back"),
    "drop": Command(Chat._drop, "", "forget the oldest question and its answer"),
    "clear": Command(Chat._clear, "", "forget all messages but the system message"),
    "context": Command(Chat._context, "", "show what the model has read, special tokens included"),
    "quit": Command(Chat._quit, "", "end; so do /bye, /exit and Ctrl-D"),
}
ALIASES = {"bye": "quit", "exit": "quit", "?": "help"}


def _is_path(name: str) -> bool:
    """Tell whether a line begins with a path, which no command looks like."""
    return not re.fullmatch("[a-z?]*", name) or (name not in COMMANDS | ALIASES and Path(f"/{name}").exists())


def _own_system(llm: Llama) -> str:
    """Return what a template makes of a conversation without a system message, as far as it puts in one of its own."""
    rendered = llm.tokenizer.decode(llm.encode_chat([{"role": "user", "content": _MARK}]))
    before = rendered.partition(_MARK)[0]
    return f"none of yours; the template begins with {before!r}" if "system" in before else "none"


def _messages(count: int) -> str:
    return f"{count} message{'' if count == 1 else 's'}"


def _short(text: str) -> str:
    """Return the beginning of a text, in one line."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= 60 else f"{line[:57]}..."


def _path(argument: str) -> Path:
    if not argument:
        raise OptionError("a file is missing, as in /save talk.json")
    try:
        return Path(argument).expanduser()
    except RuntimeError:
        raise OptionError(f"{argument}: whose home directory this is is not known") from None
