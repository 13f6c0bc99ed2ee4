"""What a line of a conversation does: a question, or a command that begins with a slash."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..conversation import Conversation
from ..errors import OptionError
from ..foreign import printable
from ..generation.generation import Piece, Statistics
from ..generation.sampling import SamplerOptions
from .answer import print_pieces, why_cut
from .output import say

_SETTINGS: dict[str, type] = {
    **{
        option.name: int if option.type in ("int", "int | None") else float
        for option in fields(SamplerOptions)
        if option.name != "logit_bias"
    },
    "max_tokens": int,
    "lookup": int,
}


class Chat:
    """A conversation that is held by lines of text."""

    def __init__(self, conversation: Conversation, settings: dict[str, Any]) -> None:
        """Begin with settings: the options of `Llama.generate`."""
        self.conversation = conversation
        self.settings = settings
        self.stats: Statistics | None = None
        """Of the last answer."""

    def handle(self, text: str) -> bool:
        """Do what a line says; return whether the conversation goes on.

        Raises:
            PyLlama3Error: it cannot be done; the conversation is as before.
        """
        if not text.startswith("/"):
            self._answer(self.conversation.ask(text, **self.settings))
            return True
        name, _, argument = text[1:].partition(" ")
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

    def _answer(self, pieces: Iterable[Piece]) -> None:
        print_pieces(self._watched(pieces))
        if self.stats and (cut := why_cut(self.stats, self.settings.get("grammar"))):
            remedy = {
                "length": "/set max_tokens changes that",
                "context": "/undo or /clear makes room",
                "loop": "/set temperature or /set repeat_penalty changes how it speaks",
            }
            say(f"pyllama3: {cut}; {remedy[str(self.stats.finish_reason)]}", err=True)

    def _watched(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """Keep the statistics, also of an answer that is broken off."""
        for piece in pieces:
            self.stats = piece.stats
            yield piece

    def _help(self, _argument: str) -> None:
        for name, command in COMMANDS.items():
            say(f"{f'/{name} {command.argument}':18} {command.help}")

    def _set(self, argument: str) -> None:
        name, _, value = argument.partition(" ")
        if name not in _SETTINGS:
            raise OptionError(f"there is no setting {name!r}; known: {', '.join(_SETTINGS)}")
        try:
            setting = None if value.strip() in ("none", "-1") else _SETTINGS[name](value)
        except ValueError:
            raise OptionError(f"{name} is {value!r}; a number is expected, as in /set temperature 0.7") from None
        options = {key: self.settings[key] for key in SamplerOptions.__dataclass_fields__ if key in self.settings}
        if name in SamplerOptions.__dataclass_fields__:
            try:
                SamplerOptions(**{**options, name: setting})
            except TypeError:
                raise OptionError(f"{name} is {value!r}; a number is expected") from None
        self.settings[name] = setting or (0 if name == "lookup" else setting)

    def _show(self, _argument: str) -> None:
        say(f"model              {printable(self.conversation.llm.config.name)}")
        say(f"system             {self.conversation.system or 'none'}")
        for name in _SETTINGS:
            value = self.settings.get(name, getattr(self.conversation.llm.sampling, name, None))
            say(f"{name:18} {'none' if value is None else value}")

    def _system(self, argument: str) -> None:
        self.conversation.system = argument or None

    def _save(self, argument: str) -> None:
        self.conversation.save(_path(argument))

    def _load(self, argument: str) -> None:
        self.conversation.load(_path(argument))
        say(f"{len(self.conversation.messages)} messages")

    def _regen(self, _argument: str) -> None:
        self._answer(self.conversation.ask_again(**self.settings))

    def _undo(self, _argument: str) -> None:
        self.conversation.undo()

    def _clear(self, _argument: str) -> None:
        self.conversation.clear()

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
    "set": Command(Chat._set, "NAME VALUE", "change a setting, such as temperature"),
    "show": Command(Chat._show, "", "show the settings"),
    "system": Command(Chat._system, "[TEXT]", "set the system message, or remove it"),
    "save": Command(Chat._save, "FILE", "write the conversation to a file"),
    "load": Command(Chat._load, "FILE", "continue the conversation of a file"),
    "regen": Command(Chat._regen, "", "answer the last question again"),
    "undo": Command(Chat._undo, "", "take the last question back"),
    "clear": Command(Chat._clear, "", "forget all messages but the system message"),
    "context": Command(Chat._context, "", "show what the model has read, special tokens included"),
    "quit": Command(Chat._quit, "", "end; so does Ctrl-D"),
}

SETTINGS = tuple(_SETTINGS)
"""Names for /set."""


def _path(argument: str) -> Path:
    if not argument:
        raise OptionError("a file is missing, as in /save talk.json")
    try:
        return Path(argument).expanduser()
    except RuntimeError:
        raise OptionError(f"{argument}: whose home directory this is is not known") from None
