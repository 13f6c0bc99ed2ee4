"""The page of the tour: its template, filled with numbers, quotes and pictures."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2

from pyllama3.errors import StoreError
from pyllama3.files import replacing
from pyllama3.store.find import find_model
from pyllama3.weights import load_weights

from . import TourError
from .numbers import ANSWER, HEAD, LAYER, PROMPT, Numbers, measure
from .pictures import draw_all
from .quotes import Sources, quote_numpy

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TEMPLATE = HERE / "tour.md.jinja"
NUMBERS = HERE / "numbers.json"


@dataclass(frozen=True)
class Fault:
    """A line of the engine that a reader is asked to break."""

    method: str
    file: str
    old: str
    new: str
    blamed: str
    """The operation that `pyllama3 compare --bisect` names."""


@dataclass
class Tour:
    """The files of the tour, by their paths in the checkout, and what the page asks its readers to break."""

    files: dict[str, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


def remake(say: Callable[[str], None]) -> None:
    """Make the tour again, with the numbers of the last time where the model cannot be had; say what has changed.

    Raises:
        TourError: as `make`.
    """
    try:
        numbers = measure(load_weights(find_model("smollm2")))
    except StoreError as error:
        say(f"the numbers stay as they are, since SmolLM2 cannot be had: {error}")
        numbers = read_numbers()
    tour = make(numbers)
    tour.files[str(NUMBERS.relative_to(ROOT))] = _as_json(numbers)
    for path in write(tour):
        say(path)


def read_numbers() -> Numbers:
    """Return the numbers of the last `invoke tour` that had the model."""
    numbers: Numbers = json.loads(NUMBERS.read_text(encoding="utf-8"))
    return numbers


def make(numbers: Numbers, sources: Path = ROOT / "src") -> Tour:
    """Return the tour.

    Raises:
        TourError: the page quotes something that is no longer there, or leaves out a file of the engine.
    """
    engine, tour, read = Sources(sources), Tour(), set()

    def link(name: str) -> str:
        method = engine.method(name)
        return f"[`{name}`](../src/{method.file})"

    def file(cls: str) -> str:
        read.add(name := engine.file_of(cls))
        return f"[`{name}`](../src/{name})"

    def fault(name: str, old: str, new: str, blamed: str) -> str:
        method = engine.method(name)
        if method.fusion.count(old) != 1:
            raise TourError(f"{name} has '{old}' {method.fusion.count(old)} times, not once: mend the exercise")
        lines = method.fusion.expandtabs(4).splitlines()
        broken = method.fusion.replace(old, new).expandtabs(4).splitlines()
        changed = [line for line in difflib.ndiff(lines, broken) if line[0] in "+-"]
        tour.faults.append(Fault(name, method.file, method.fusion, method.fusion.replace(old, new), blamed))
        return f"  // {name} in src/{method.file}\n" + "\n".join(line[:2] + line[2:].lstrip() for line in changed)

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(vector=_vector, number=_number)
    template = environment.get_template(TEMPLATE.name)
    values = {"n": numbers, "c": numbers["config"], "prompt": PROMPT, "answer": ANSWER, "layer": LAYER, "head": HEAD}
    functions = {"fusion": engine.quote, "numpy": quote_numpy, "link": link, "file": file, "fault": fault}
    tour.files["docs/tour.md"] = template.render(**values, **functions)
    if unread := engine.files.keys() - read:
        raise TourError(f"{', '.join(sorted(unread))}: not in the order of reading in {TEMPLATE.name}")
    tour.files |= {f"docs/tour/{name}": text for name, text in draw_all(numbers).items()}
    return tour


def write(tour: Tour) -> list[str]:
    """Write the files that have changed and remove pictures that are no longer drawn; return their paths."""
    changed = [path for path, text in tour.files.items() if _read(ROOT / path) != text]
    for path in changed:
        (ROOT / path).parent.mkdir(exist_ok=True)
        with replacing(ROOT / path) as out:
            out.write(tour.files[path].encode())
    for picture in (ROOT / "docs" / "tour").glob("*.svg"):
        if (path := f"docs/tour/{picture.name}") not in tour.files:
            picture.unlink()
            changed.append(path)
    return changed


def _as_json(numbers: Numbers) -> str:
    """Return JSON with a line for each name."""
    lines = (f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in numbers.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _number(value: float, digits: int = 3) -> str:
    """Return a number with some significant digits, without an exponent unless it is tiny or huge."""
    return f"{value:.{digits}g}" if not 1000 <= abs(value) < 1e9 else f"{value:.0f}"


def _vector(values: Iterable[Any], count: int = 6, digits: int = 3) -> str:
    """Return the first numbers of a vector."""
    numbers = list(values)
    shown = " ".join(f"{value:{digits + 5}.{digits}f}" for value in numbers[:count])
    return f"{shown} ..." if len(numbers) > count else shown
