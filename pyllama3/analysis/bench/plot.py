"""Results as bars, one panel for each test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...errors import OptionError
from ...files import replacing
from .measure import Result

FORMATS = (".svg", ".png")


def check_plot(path: Path) -> None:
    """Check that a plot can be made, before anything is measured.

    Raises:
        OptionError: the format is unknown, the directory does not exist, or matplotlib is missing.
    """
    if path.suffix not in FORMATS:
        raise OptionError(
            f"{path}: cannot draw a {path.suffix or 'file without a suffix'}; allowed: {', '.join(FORMATS)}"
        )
    if not path.parent.is_dir():
        raise OptionError(f"{path}: no such directory")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise OptionError("a plot needs matplotlib; pip install 'pyllama3[plot]'") from None


def draw(results: Sequence[Result], path: Path, title: str) -> None:
    """Draw speeds with their standard deviations.

    Raises:
        OSError: the file cannot be written.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    tests = list(dict.fromkeys(result.test.name for result in results))
    labels = list(dict.fromkeys(_label(result) for result in results))
    figure = Figure(figsize=(8, 0.9 + len(tests) * (0.55 + 0.32 * len(labels))), layout="constrained")
    figure.suptitle(title, fontsize=10)
    panels = figure.subplots(len(tests), 1, squeeze=False)[:, 0]
    for axes, test in zip(panels, tests, strict=True):
        shown = [result for result in results if result.test.name == test]
        names = [_label(result) for result in shown]
        means, deviations = [result.mean for result in shown], [result.deviation for result in shown]
        bars = axes.barh(names, means, xerr=deviations, height=0.7, color=[f"C{labels.index(n) % 10}" for n in names])
        axes.bar_label(bars, fmt="%.1f", label_type="center", color="white", fontweight="bold")
        axes.invert_yaxis()
        axes.set_title(test, loc="left", fontsize=10)
        axes.set_xlim(0)
        axes.spines[["top", "right"]].set_visible(False)
    panels[-1].set_xlabel("tokens/s")
    with rc_context({"svg.fonttype": "none"}), replacing(path) as file:
        figure.savefig(file, dpi=150, format=path.suffix.removeprefix("."))


def _label(result: Result) -> str:
    threads = f"{result.threads} thread{'s' if result.threads > 1 else ''}"
    precision = "" if result.precision == "default" else f" {result.precision}"
    return f"{result.model}\n{result.backend}{precision}, {threads}"
