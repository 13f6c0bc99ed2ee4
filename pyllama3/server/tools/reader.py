"""Telling calls of functions from text while a text comes in pieces."""

from __future__ import annotations

from collections.abc import Collection

from .calls import (
    MAX_LENGTH,
    Call,
    may_begin_list,
    may_begin_object,
    read_objects,
    read_program,
    read_python,
)

_PYTHON_TAG, _OPEN, _CLOSE = "<|python_tag|>", "<tool_call>", "</tool_call>"


class CallReader:
    """Passes text on as it comes, and holds back what may be a call until it is known to be one."""

    def __init__(self, names: Collection[str], *, several: bool = True) -> None:
        """Look for calls of functions with these names, and unless `several` take the first only."""
        self._names = names
        self._several = several
        self._held = ""
        self._at_start = True
        """Whether nothing but calls and white space has come: JSON and lists are calls only then."""
        self.found = 0
        """How many calls have been returned."""

    def feed(self, text: str) -> list[str | Call]:
        """Return what is known by now: text to show, and calls."""
        self._held += text
        result: list[str | Call] = []
        while self._held and self._advance(result, ended=False):
            pass
        return result

    def flush(self) -> list[str | Call]:
        """Return the rest: the text has ended."""
        result: list[str | Call] = []
        while self._held and self._advance(result, ended=True):
            pass
        if self._held.strip():
            result.append(self._held)
        self._held = ""
        return result

    def _advance(self, result: list[str | Call], *, ended: bool) -> bool:
        """Decide about the beginning of what is held; return whether it was decided."""
        bare = self._held.lstrip()
        if bare.startswith(_OPEN):
            return self._read_tagged(bare, result, ended)
        if bare.startswith(_PYTHON_TAG):
            return ended and self._read_rest(bare, bare.removeprefix(_PYTHON_TAG), result, may_be_program=True)
        if self._at_start and (may_begin_object(bare) or may_begin_list(bare)) and len(bare) < MAX_LENGTH:
            return ended and self._read_rest(bare, bare, result, may_be_program=False)
        return self._pass_text(result, ended)

    def _read_rest(self, text: str, inside: str, result: list[str | Call], *, may_be_program: bool) -> bool:
        self._held = ""
        calls = read_objects(inside.strip(), self._names) or read_python(inside, self._names)
        if calls is None and may_be_program:
            calls = read_program(inside, self._names)
        self._return(result, calls, text)
        return True

    def _read_tagged(self, bare: str, result: list[str | Call], ended: bool) -> bool:
        inside, closed, rest = bare.removeprefix(_OPEN).partition(_CLOSE)
        if not closed and not ended:
            return False
        self._held = rest
        self._return(result, read_objects(inside.strip(), None), _OPEN + inside + closed)
        return True

    def _return(self, result: list[str | Call], calls: list[Call] | None, text: str) -> None:
        if calls is None:
            self._at_start = False
            result.append(text)
            return
        allowed = calls if self._several else calls[: max(0, 1 - self.found)]
        self.found += len(allowed)
        result += allowed

    def _pass_text(self, result: list[str | Call], ended: bool) -> bool:
        """Pass text on up to where a tag begins, or may begin; white space waits for what follows it."""
        places = [place for tag in (_OPEN, _PYTHON_TAG) if (place := self._held.find(tag)) >= 0]
        end = min(places, default=len(self._held))
        if not places and not ended:
            end -= max(_overlap(self._held, tag) for tag in (_OPEN, _PYTHON_TAG))
        shown = self._held[:end] if ended and not places else self._held[:end].rstrip()
        if not shown:
            return False
        self._at_start = False
        result.append(shown)
        self._held = self._held[len(shown) :]
        return bool(places)


def _overlap(text: str, tag: str) -> int:
    """Return how many characters at the end of a text begin a tag."""
    return next((n for n in range(min(len(tag) - 1, len(text)), 0, -1) if tag.startswith(text[-n:])), 0)
