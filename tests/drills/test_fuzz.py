"""A few dozen mutated files for each reader; `invoke drill -- --count 10000` reads as many as one likes.

The witness is the process: it neither dies, nor hangs, nor grows by a gigabyte, nor sees an error that is not ours. To
add a reader: a row in `readers.READERS`.
"""

from __future__ import annotations

import click
import command_lines
import pytest
from fuzz import drill
from readers import READERS

from pyllama3.cli import cli

COUNT = 40


def test_each_command_is_drilled() -> None:
    assert set(cli.list_commands(click.Context(cli))) - {"help"} == command_lines.GOOD.keys() | command_lines.OTHERS


@pytest.mark.parametrize("reader", READERS)
def test_mutated_files(reader: str) -> None:
    assert drill(reader, count=COUNT, seed=0, limited=True) == []
