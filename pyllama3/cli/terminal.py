"""A conversation in a terminal: editing with history and completion, a status line, Ctrl-C that stops an answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from ..errors import PyLlama3Error
from ..files import cache_dir
from .output import say
from .slash_commands import COMMANDS, SETTINGS, Chat


def converse(chat: Chat) -> None:
    """Hold a conversation until /quit or Ctrl-D."""
    session: PromptSession[str] = PromptSession(
        history=_history(),
        auto_suggest=AutoSuggestFromHistory(),
        completer=_CommandCompleter(),
        complete_while_typing=False,
        key_bindings=_line_feeds(),
        bottom_toolbar=chat.status,
    )
    say("/help: commands. Alt-Enter: new line. Ctrl-C: stop the answer. Ctrl-D: end.")
    while True:
        try:
            text = _read(session)
        except EOFError:
            return
        except KeyboardInterrupt:
            continue
        try:
            if text.strip() and not chat.handle(text):
                return
        except PyLlama3Error as error:
            say(f"pyllama3: {error}", err=True)
        except KeyboardInterrupt:
            say("(stopped)", err=True)


def _history() -> History:
    """Return what was typed before, from a file, or from now on only if that cannot be written."""
    path = cache_dir() / "chat_history"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("ab").close()
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(path))


def _read(session: PromptSession[str]) -> str:
    text = session.prompt("> ")
    while text.endswith("\\"):
        text = text[:-1] + "\n" + session.prompt(". ")
    return text


def _line_feeds() -> KeyBindings:
    bindings = KeyBindings()

    @bindings.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return bindings


class _CommandCompleter(Completer):
    """Completes commands, names of settings and of files."""

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterable[Completion]:
        command, space, argument = document.text_before_cursor.partition(" ")
        if not command.startswith("/"):
            return
        if not space:
            yield from _completions(command, [f"/{name}" for name in COMMANDS])
        elif command == "/set":
            yield from _completions(argument, SETTINGS)
        elif command in ("/save", "/load"):
            yield from PathCompleter(expanduser=True).get_completions(Document(argument), event)


def _completions(beginning: str, words: Iterable[str]) -> Iterator[Completion]:
    for word in words:
        if word.startswith(beginning):
            yield Completion(word, start_position=-len(beginning))
