"""OpenAI's batch files: a request per line in, an answer per line out, many at a time and in any order.

An answer is on disk before the next ones are worked on. After a crash the same call goes on: the last line is dropped
if it is the beginning of an answer, and requests that have an answer are skipped. Other files are left alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ..arguments import file_path, function, mapping
from ..errors import BatchError
from ..files import json_bytes, lock
from ..foreign import parse_json, read_lines
from ..model import Llama
from .answerer import Answerer, LocalAnswerer, Question
from .answers import error_body, error_status

MAX_LINE = 1 << 26
"""Bytes of a request; the longest context is some 500 KB of text."""
_ANSWER = b'{"id": "batch_req_'
"""What all lines begin with that are answers."""


@dataclass
class BatchCounts:
    """How many requests there are."""

    total: int = 0
    skipped: int = 0
    """They had an answer already."""
    answered: int = 0
    failed: int = 0
    """Their answer is an error."""

    @property
    def done(self) -> int:
        """How many need no more work."""
        return self.skipped + self.answered + self.failed


def run_batch(
    llm: Llama,
    source: Path,
    target: Path,
    *,
    parallel: int = 8,
    defaults: Mapping[str, Any] | None = None,
    progress: Callable[[BatchCounts], None] = lambda _: None,
) -> BatchCounts:
    """Append an answer to `target` for each request of `source` that has none there.

    Args:
        llm: answers.
        source: lines of {"custom_id", "method": "POST", "url", "body"}.
        target: lines of {"id", "custom_id", "response", "error"}.
        parallel: how many requests are worked on at a time.
        defaults: options of the sampler for what a request does not say.
        progress: is told the counts at first and whenever they change.

    Raises:
        BackendError: there is not enough memory for so many.
        BatchError: a file cannot be read or written, or `target` holds anything but answers; it is as before.
        OptionError: an argument has another type, or is out of range.
    """
    given = {} if defaults is None else mapping("defaults", defaults, "a mapping of options")
    return answer_file(LocalAnswerer(llm, parallel=parallel, defaults=given), source, target, progress=progress)


def answer_file(
    answerer: Answerer,
    source: Path,
    target: Path,
    *,
    progress: Callable[[BatchCounts], None] = lambda _: None,
) -> BatchCounts:
    """Do what `run_batch` does, whoever answers.

    Raises:
        BatchError: see `run_batch`.
        PyLlama3Error: whatever keeps others from answering.
    """
    source, target = file_path("the source", source), file_path("the target", target)
    function("progress", progress)
    try:
        with source.open("rb") as lines, target.open("a+b") as output:
            if os.path.sameopenfile(lines.fileno(), output.fileno()):
                raise BatchError(f"{target}: these are the requests; the answers need a file of their own")
            counts = BatchCounts(total=sum(1 for line in read_lines(lines, max_bytes=MAX_LINE) if line.strip()))
            lines.seek(0)
            lock(output)
            answers = _Answers(target, output)
            _Run(answerer, answers, counts, progress).work(lines)
            return counts
    except OSError as error:
        raise BatchError(f"{error.filename or target}: {error.strerror}") from error


class _Answers:
    """The answers in a file."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._file = file
        self._keys: set[str] = set()
        file.seek(0)
        end = 0
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                # only what we have begun to write may be cut off
                if not (line.startswith(_ANSWER) or _ANSWER.startswith(line)):
                    raise BatchError(f"{path}: line {number} is not the beginning of an answer of a batch")
                break
            end += len(line)
            try:
                answer = parse_json(line)
                self._keys.add(_key(answer["id"], answer["custom_id"]))
            except (ValueError, TypeError, KeyError):
                raise BatchError(f"{path}: line {number} is not an answer of a batch") from None
        file.truncate(end)

    def has(self, id: str, custom_id: str | None) -> bool:
        return _key(id, custom_id) in self._keys

    def write(self, id: str, custom_id: str | None, status: int, body: Mapping[str, Any]) -> None:
        response = {"status_code": status, "request_id": id, "body": body}
        answer = {"id": id, "custom_id": custom_id, "response": response, "error": None}
        self._file.write(json_bytes(answer) + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def _key(id: str, custom_id: str | None) -> str:
    """Return what makes a request the same: its custom_id, or its line if that is missing or not its own."""
    return f"line {id}" if custom_id is None else f"custom {custom_id}"


class _Run:
    def __init__(
        self, answerer: Answerer, answers: _Answers, counts: BatchCounts, progress: Callable[[BatchCounts], None]
    ) -> None:
        self._answerer = answerer
        self._answers = answers
        self._counts = counts
        self._progress = progress
        self._asked: set[Question] = set()
        self._seen: set[str] = set()

    def work(self, lines: IO[bytes]) -> None:
        self._progress(self._counts)
        waiting = self._questions(lines)
        question = next(waiting, None)
        while question is not None or self._asked:
            while question is not None and self._answerer.free > 0:
                self._asked.add(question)
                self._answerer.add(question)
                question = next(waiting, None)
            for answer in self._answerer.wait():
                self._asked.remove(answer.question)
                number, custom_id = answer.question.number, answer.question.custom_id
                self._write(_id(number), custom_id, answer.status, answer.body)

    def _write(self, id: str, custom_id: str | None, status: int, body: Mapping[str, Any]) -> None:
        self._answers.write(id, custom_id, status, body)
        if status == 200:
            self._counts.answered += 1
        else:
            self._counts.failed += 1
        self._progress(self._counts)

    def _questions(self, lines: IO[bytes]) -> Iterator[Question]:
        """Yield the requests that have no answer, and answer lines that are none."""
        for number, line in enumerate(read_lines(lines, max_bytes=MAX_LINE), start=1):
            if not line.strip():
                continue
            id, custom_id = _id(number), None
            try:
                content = _read_line(line)
                custom_id = self._custom_id(content)
            except BatchError as error:
                if self._answers.has(id, custom_id):
                    self._skip()
                else:
                    self._write(id, custom_id, error_status(error), error_body(error))
                continue
            if self._answers.has(id, custom_id):
                self._skip()
            else:
                yield Question(number, custom_id, content.get("url"), content.get("body"))

    def _skip(self) -> None:
        self._counts.skipped += 1
        self._progress(self._counts)

    def _custom_id(self, content: Mapping[str, Any]) -> str:
        custom_id = content.get("custom_id")
        if not isinstance(custom_id, str):
            raise BatchError(f"custom_id is {custom_id!r:.80}; a string is expected")
        if custom_id in self._seen:
            raise BatchError(f"custom_id {custom_id!r:.80} is that of an earlier line")
        self._seen.add(custom_id)
        return custom_id


def _id(number: int) -> str:
    return f"batch_req_{number}"


def _read_line(line: bytes) -> dict[str, Any]:
    try:
        content = parse_json(line, max_bytes=MAX_LINE)
    except ValueError as error:
        raise BatchError(f"the line is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise BatchError("the line is not a JSON object")
    if content.get("method", "POST") != "POST":
        raise BatchError(f"method is {content['method']!r:.80}; supported: 'POST'")
    return content
