"""Results as bars, one panel for what reads prompts and one for what generates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...errors import OptionError
from ...files import replacing
from .measure import Result
from .tables import shorten

FORMATS = (".svg", ".png")

_KINDS = {"Reading prompts (pp)": False, "Generating text (tg)": True}
"""Titles of the panels, and whether their tests generate."""

_MODEL_WIDTH = 28


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


def draw(results: Sequence[Result], path: Path, machine: str) -> None:
    """Draw speeds with their standard deviations; what all bars have in common stands above them.

    Raises:
        OSError: the file cannot be written.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    common, labels = _label(results)
    kinds = {
        title: shown
        for title, generates in _KINDS.items()
        if (shown := [at for at, result in enumerate(results) if bool(result.test.generated) == generates])
    }
    rows = [len(shown) for shown in kinds.values()]
    figure = Figure(figsize=(8, 0.5 + len(rows) + 0.36 * sum(rows)), layout="constrained")
    figure.suptitle("\n".join([common, machine] if common else [machine]), fontsize=10)
    panels = figure.subplots(len(rows), 1, squeeze=False, height_ratios=[count + 1 for count in rows])[:, 0]
    for axes, (title, shown) in zip(panels, kinds.items(), strict=True):
        means, deviations = [results[at].mean for at in shown], [results[at].deviation for at in shown]
        bars = axes.barh(range(len(shown)), means, xerr=deviations, height=0.7, error_kw={"ecolor": "0.35"})
        axes.set_yticks(range(len(shown)), [labels[at] for at in shown])
        axes.bar_label(bars, fmt="%.1f", padding=4)
        axes.invert_yaxis()
        axes.set_title(title, loc="left", fontsize=10)
        axes.set_xlim(0, 1.15 * max(mean + deviation for mean, deviation in zip(means, deviations, strict=True)))
        axes.set_xlabel("tokens/s")
        axes.spines[["top", "right"]].set_visible(False)
    with rc_context({"svg.fonttype": "none"}), replacing(path) as file:
        figure.savefig(file, dpi=150, format=path.suffix.removeprefix("."))


def _label(results: Sequence[Result]) -> tuple[str, list[str]]:
    """Return what all results have in common, and for each its test with what tells it from others."""
    traits = [
        [result.model for result in results],
        [f"backend {result.backend}" for result in results],
        ["" if result.precision == "default" else result.precision for result in results],
        [f"{result.threads} thread{'s' if result.threads > 1 else ''}" for result in results],
    ]
    same = [trait for trait in traits if len(set(trait)) == 1]
    different = [trait for trait in traits if len(set(trait)) > 1]
    common = ", ".join(trait[0] for trait in same if trait[0])
    return common, [
        ", ".join(filter(None, [result.test.name, *(shorten(trait[at], _MODEL_WIDTH) for trait in different)]))
        for at, result in enumerate(results)
    ]
