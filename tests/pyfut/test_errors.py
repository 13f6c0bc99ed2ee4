"""Programs with mistakes: every `//ERROR: message` names a diagnostic of its line, and there are no others."""

import re
from pathlib import Path

import pytest

from pyfut.cli import main

PROGRAMS = sorted((Path(__file__).parent / "errors").glob("*.fu"))
EXPECTED = re.compile(r"//(ERROR: .*?)(?= //ERROR|$)")


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.stem)
def test_diagnostics(program, tmp_path, capsys):
    expected = {
        f"{program}({number}): {message}"
        for number, line in enumerate(program.read_text().splitlines(), 1)
        for message in EXPECTED.findall(line)
    }
    assert main(["-o", str(tmp_path / "t.py,c"), str(program)]) == 1
    assert set(capsys.readouterr().err.splitlines()) == expected
    assert list(tmp_path.iterdir()) == []
