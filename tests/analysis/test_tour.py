"""The tour is what `invoke tour` makes, its commands print what it says, and its exercises end as it promises.

To add a case: a command or a session in docs/tour, which runs as it stands there.
"""

from __future__ import annotations

import doctest
import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import browser
import pytest
from engines import built_engine
from paths import ROOT
from tiny_models import random_tensors, tiny_config, write_gguf

from pyllama3.analysis.compare.comparison import compare
from pyllama3.analysis.compare.report import as_table
from pyllama3.analysis.compare.subjects import EngineSubject, ReferenceSubject
from pyllama3.analysis.pages.tour import anchor, find_tour, write_page
from pyllama3.backends import load_engine
from pyllama3.cli import main
from pyllama3.errors import PyLlama3Error
from pyllama3.runtime.model import EngineModel
from pyllama3.weights import Weights, load_weights
from tools.tour import TourError
from tools.tour.numbers import measure
from tools.tour.page import ROOT as TOUR_ROOT
from tools.tour.page import Tour, make, read_numbers, write
from tools.tour.quotes import Sources, quote_numpy
from tools.transpilers import find_pyfut

PAGE = ROOT / "docs" / "tour.md"


@pytest.fixture(scope="module")
def smollm2(smollm2_path: Path) -> Weights:
    return load_weights(smollm2_path)


def check_committed(tour: Tour) -> None:
    for path, text in tour.files.items():
        assert (ROOT / path).read_text(encoding="utf-8") == text, f"{path} is out of date: run 'invoke tour'"
    drawn = {path for path in tour.files if path.endswith(".svg")}
    assert drawn == {str(path.relative_to(ROOT)) for path in (ROOT / "docs" / "tour").iterdir()}


def test_quotes_and_pictures_are_up_to_date() -> None:
    """Also without the model: with the numbers of the last time."""
    check_committed(make(read_numbers()))


def test_numbers_are_up_to_date(smollm2: Weights) -> None:
    numbers = measure(smollm2)
    assert numbers == read_numbers(), "tools/tour/numbers.json is out of date: run 'invoke tour'"
    check_committed(make(numbers))


# what a reader does


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_the_session(smollm2: Weights) -> None:
    example = doctest.DocTestParser().get_doctest("\n".join(blocks("pycon")), {}, str(PAGE), str(PAGE), 0)
    assert len(example.examples) > 25
    lines: list[str] = []
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(example, out=lines.append)
    assert not lines, "".join(lines)


def test_the_commands(smollm2: Weights) -> None:
    """Those of ours; what they print is compared where the page shows it; otherwise its exit code tells."""
    built_engine("c")
    shown = 0
    for command, expected in re.findall(r"^\$ (pyllama3 .*)\n((?:(?!\$ ).*\n)*)", "".join(blocks("console")), re.M):
        result = subprocess.run(
            [sys.executable, "-m", *shlex.split(command)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert result.returncode == 0, result.stderr
        if expected.strip():
            assert result.stdout.rstrip() == expected.rstrip(), command
            shown += 1
    assert shown >= 5


@pytest.mark.parametrize("name", ["rope", "mask", "swiglu"])
def test_what_readers_break_is_found(name: str, tmp_path: Path) -> None:
    faults = {fault.blamed: fault for fault in make(read_numbers()).faults}
    assert len(faults) == 3
    fault = faults[name]
    sources = tmp_path / "src"
    shutil.copytree(ROOT / "src", sources)
    text = (sources / fault.file).read_text(encoding="utf-8")
    new = [line for line in fault.new.splitlines() if line not in fault.old.splitlines()]
    old = [line for line in fault.old.splitlines() if line not in fault.new.splitlines()]
    assert len(old) == len(new) == 1
    assert text.count(f"\t{old[0]}\n") == 1
    (sources / fault.file).write_text(text.replace(f"\t{old[0]}\n", f"\t{new[0]}\n"), encoding="utf-8")
    options = ["-D", "PYTHON", "-o", str(tmp_path / "llama3.py")]
    subprocess.run([*find_pyfut().command, *options, *map(str, sorted(sources.glob("*.fu")))], cwd=ROOT, check=True)

    config = tiny_config()
    write_gguf(tmp_path / "model.gguf", config, random_tensors(config, 6))
    weights = load_weights(tmp_path / "model.gguf")
    model = EngineModel(load_engine("python", tmp_path), weights, threads=1, precision="exact")
    subjects = [ReferenceSubject("reference", weights), EngineSubject("python", weights, model)]
    report = as_table(compare(subjects, [257, 7, 104, 0, 287], bisect=True))
    (blame,) = re.findall(r"The operation is '\w+' of layer 0 [\w-]+", report)
    assert f"'{fault.blamed}'" in blame
    assert f"*{blame}*" in PAGE.read_text(encoding="utf-8")


# the maker


def test_what_is_gone_cannot_be_quoted(tmp_path: Path) -> None:
    (tmp_path / "kernels.fu").write_text("class Kernels\n{\n\tvoid Norm(int dim)\n\t{\n\t\tdim = 1;\n\t}\n}\n")
    sources = Sources(tmp_path)
    with pytest.raises(TourError, match=r"src/ has no method Kernels\.RmsNorm: mend the name in .*tour\.md\.jinja"):
        sources.quote("Kernels.RmsNorm")
    with pytest.raises(TourError, match=r"no method Other\.Norm; there is Kernels\.Norm"):
        sources.quote("Other.Norm")
    with pytest.raises(TourError, match=r"Kernels\.Norm has no line with 'dim = 2'"):
        sources.quote("Kernels.Norm", "dim = 2")
    with pytest.raises(TourError, match="src/ has no class Tensor"):
        sources.file_of("Tensor")
    with pytest.raises(TourError, match="the reference has no norm"):
        quote_numpy("norm")


def test_quotes_are_plain(tmp_path: Path) -> None:
    (tmp_path / "a.fu").write_text(
        "public static class A\n{\n\t/// Says.\n\tpublic static int F(\n\t\t/// What.\n\t\tint x,\n\t\tint y)\n\t{\n"
        "#if PYTHON\n\t\tnative {\n\t\t}\n#else\n#if AVX2\n\t\tx = 1;\n#else\n\t\tx = 2;\n#endif\n#endif\n"
        "\t\tx = 3;\n\t\tx = 4;\n\t\treturn x;\n\t}\n}\n"
    )
    head = "// A.F in src/a.fu\n"
    sources = Sources(tmp_path)
    plain = "public static int F(int x, int y)\n{\n\tx = 2;\n\tx = 3;\n\tx = 4;\n\treturn x;\n}"
    assert sources.quote("A.F") == head + plain
    assert sources.quote("A.F", "x = 2", ["x = 4", "return"]) == f"{head}x = 2;\n...\nx = 4;\nreturn x;"


def test_all_of_the_engine_is_in_the_order_of_reading(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "src", tmp_path / "src")
    (tmp_path / "src" / "new.fu").write_text("class New\n{\n}\n")
    with pytest.raises(TourError, match=r"new\.fu: not in the order of reading"):
        make(read_numbers(), tmp_path / "src")


def test_only_what_has_changed_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.tour.page.ROOT", tmp_path)
    (tmp_path / "docs" / "tour").mkdir(parents=True)
    (tmp_path / "docs" / "tour" / "old.svg").touch()
    tour = make(read_numbers(), TOUR_ROOT / "src")
    assert set(write(tour)) == {*tour.files, "docs/tour/old.svg"}
    assert write(tour) == []


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "tour").glob("*.svg")), ids=lambda path: path.stem)
def test_pictures_have_both_palettes_and_a_title(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "prefers-color-scheme: dark" in text
    assert ElementTree.fromstring(text)[0].text
    assert f"(tour/{path.name})" in PAGE.read_text(encoding="utf-8")


# the page


def test_links_lead_somewhere() -> None:
    text = PAGE.read_text(encoding="utf-8")
    anchors = {anchor(heading) for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) > 30
    for link in links:
        if link.startswith("#"):
            assert link[1:] in anchors
        else:
            assert (PAGE.parent / link).exists(), link


@pytest.mark.parametrize("width", [400, 1200])
def test_the_page_in_a_browser(tmp_path: Path, width: int) -> None:
    pytest.importorskip("markdown_it")
    write_page(tmp_path / "tour.html", PAGE)
    shown = browser.show(tmp_path / "tour.html", tmp_path, width=width)
    assert (shown.console, shown.overflow) == ([], 0)
    assert shown.dom.count('<img src="data:image/svg+xml;base64,') == len(list((ROOT / "docs" / "tour").iterdir()))
    assert '<h2 id="6-attention">' in shown.dom


def test_links_out_of_a_wheel_become_text(tmp_path: Path) -> None:
    pytest.importorskip("markdown_it")
    (tmp_path / "tour.md").write_text("[here](tour.md) [there](../src/gone.fu) [web](https://example.org/)\n")
    write_page(tmp_path / "tour.html", tmp_path / "tour.md")
    html = (tmp_path / "tour.html").read_text(encoding="utf-8")
    links = f'<a href="{(tmp_path / "tour.md").as_uri()}">here</a> <a>there</a> <a href="https://example.org/">web</a>'
    assert links in html


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PYLLAMA3_CACHE", str(tmp_path / "cache"))
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)

    def tour(*arguments: str) -> tuple[str, str]:
        with pytest.raises(SystemExit, match="0"):
            main(["tour", *arguments])
        return tuple(capsys.readouterr())

    assert tour("--path") == (f"{PAGE}\n", "")
    if find_spec("markdown_it"):
        html = tmp_path / "cache" / "tour.html"
        assert tour() == (f"{html}\n", "")
        assert opened == [html.as_uri()]
        assert html.exists()
    opened.clear()
    monkeypatch.setattr("pyllama3.cli.tour.find_spec", lambda _: None)
    assert tour() == (f"{PAGE}\n", "To read it in a browser: pip install 'pyllama3[tour]'\n")
    assert not opened


def test_a_package_brings_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyllama3.analysis.pages.tour.PACKAGE", tmp_path / "pyllama3")
    with pytest.raises(PyLlama3Error, match=r"tour\.md: the tour is not there"):
        find_tour()
    (tmp_path / "pyllama3" / "_docs").mkdir(parents=True)
    (tmp_path / "pyllama3" / "_docs" / "tour.md").touch()
    assert find_tour() == tmp_path / "pyllama3" / "_docs" / "tour.md"
