"""A conversation in a terminal: editing with history and completion, a status line, Ctrl-C that stops an answer."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from ..errors import PyLlama3Error
from ..files import cache_dir
from ..generation.generation import Piece
from ..store.aliases import ALIASES
from .answer import print_pieces
from .keyboard import without_echo
from .lines import read_line
from .output import say
from .settings import NAMES
from .slash_commands import COMMANDS, Chat
from .wrapping import Wrapper, wrap

_GREETING = "/help: commands. Alt-Enter: new line. Ctrl-G: editor. Ctrl-C: stop the answer. Ctrl-D: end."


def last_conversation() -> Path:
    """Return where the last conversation is kept."""
    return cache_dir() / "last_conversation.json"


def show_answer(pieces: Iterable[Piece]) -> None:
    """Write an answer whose words wrap at the margin, and nothing that is typed meanwhile."""
    with without_echo():
        print_pieces(pieces, Wrapper(_columns()))


def confirm(text: str) -> None:
    """Write what a command has done."""
    say(wrap(f"({text})", _columns()), err=True)


def converse(chat: Chat) -> None:
    """Hold a conversation until /quit or Ctrl-D."""
    session: PromptSession[str] = PromptSession(
        history=_history(),
        auto_suggest=AutoSuggestFromHistory(),
        completer=_CommandCompleter(),
        complete_while_typing=False,
        key_bindings=_keys(),
        bottom_toolbar=chat.status,
    )
    say(wrap(_GREETING, _columns()))
    while True:
        try:
            line = read_line(lambda goes_on: session.prompt(". " if goes_on else "> "))
        except EOFError:
            return
        except KeyboardInterrupt:
            continue
        try:
            if line.text.strip() and not chat.handle(line):
                return
        except PyLlama3Error as error:
            say(wrap(f"pyllama3: {error}", _columns()), err=True)
        except KeyboardInterrupt:
            say("(stopped)", err=True)
        _keep(chat)


def _columns() -> int:
    return shutil.get_terminal_size().columns


def _keep(chat: Chat) -> None:
    """Keep the conversation for `chat --continue`, if that is possible."""
    if any(message["role"] != "system" for message in chat.conversation.messages):
        with suppress(PyLlama3Error):
            chat.conversation.save(last_conversation(), private=True)


def _history() -> History:
    """Return what was typed before, from a file for the user only, or from now on if that cannot be written."""
    path = cache_dir() / "chat_history"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        path.chmod(0o600)
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(path))


def _keys() -> KeyBindings:
    bindings = KeyBindings()

    @bindings.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @bindings.add("c-g")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.open_in_editor()

    return bindings


class _CommandCompleter(Completer):
    """Completes commands, names of settings, of models and of files."""

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterable[Completion]:
        command, space, argument = document.text_before_cursor.partition(" ")
        if not command.startswith("/"):
            return
        if not space:
            yield from _completions(command, [f"/{name}" for name in COMMANDS])
        elif command == "/set":
            yield from _completions(argument, NAMES)
        elif command in ("/save", "/load", "/model"):
            if command == "/model":
                yield from _completions(argument, ALIASES)
            yield from PathCompleter(expanduser=True).get_completions(Document(argument), event)


def _completions(beginning: str, words: Iterable[str]) -> Iterator[Completion]:
    for word in words:
        if word.startswith(beginning):
            yield Completion(word, start_position=-len(beginning))
