"""`pyllama3 source`: one operation as Fusion, generated Python and generated C beside each other."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from itertools import zip_longest

import click

from ..analysis.source.examples import EXAMPLES, Argument, run_example
from ..analysis.source.methods import GeneratedCode, Method, find_method, read_methods
from ..backends import BACKENDS, engine_dir, is_available, load_engine
from .output import say

_NARROWEST = 40
"""Fewest characters of a column; with fewer, the columns are put below each other."""


@click.command("source", short_help="Show an operation as Fusion, Python and C.")
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """Show the method NAME (such as RmsNorm, rms_norm or KvCache.Attend) as it was written and as it was generated.

    For leaf kernels, the numbers of a small example on each backend follow. Without a name, all methods are listed.
    """
    methods = read_methods()
    if name is None:
        _list(methods)
        return
    method = find_method(methods, name)
    generated = GeneratedCode(engine_dir())
    texts = {
        "Fusion": method.fusion,
        "Python": generated.python(method) or "(not in the build)",
        "C": generated.c(method) or "(not in the build)",
    }
    say(_beside(texts, shutil.get_terminal_size().columns))
    if str(method) in EXAMPLES:
        _show_example(method)


def _list(methods: list[Method]) -> None:
    cls = None
    for method in methods:
        if method.cls != cls:
            cls = method.cls
            say(f"\n{cls}")
        say(f"  {method.name:20} {method.doc}")


def _beside(texts: dict[str, str], width: int) -> str:
    """Return texts in columns, or below each other where the terminal is narrow."""
    column = (width - 3 * (len(texts) - 1)) // len(texts)
    if column < _NARROWEST:
        return "\n\n".join(f"--- {title}\n{text.expandtabs(4)}" for title, text in texts.items())
    columns = [[title, "-" * column, *_wrap(text, column)] for title, text in texts.items()]
    rows = zip_longest(*columns, fillvalue="")
    return "\n".join(" | ".join(line.ljust(column) for line in row).rstrip() for row in rows)


def _wrap(text: str, width: int) -> list[str]:
    """Return lines cut at spaces where they are too long; what follows is indented a little more."""
    lines = []
    for line in text.expandtabs(2).splitlines():
        indent = len(line) - len(line.lstrip()) + 2
        while len(line) > width:
            cut = line.rfind(" ", indent, width + 1)
            cut = cut if cut > 0 else width
            lines.append(line[:cut])
            line = " " * indent + line[cut:].lstrip()
        lines.append(line)
    return lines


def _show_example(method: Method) -> None:
    example = EXAMPLES[str(method)]
    say("\nA small example")
    for name, value in example.items():
        say(f"  {name:10} {_numbers(value)}")
    for backend in BACKENDS:
        if is_available(backend):
            run = run_example(load_engine(backend), method)
            say(f"Afterwards, in {backend}")
            for name, numbers in run.changed.items():
                say(f"  {name:10} {_numbers(numbers)}")
            if run.result is not None:
                say(f"  {'returns':10} {_numbers(run.result)}")


def _numbers(value: Argument) -> str:
    return "  ".join(f"{number:.9g}" for number in (value if isinstance(value, Sequence) else [value]))
