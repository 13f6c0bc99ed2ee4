"""Pages in a headless Chromium."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import pytest

_MEASURE = (
    "<script>addEventListener('load', () => document.body.dataset.overflow ="
    " document.documentElement.scrollWidth - document.documentElement.clientWidth);</script>"
)


@dataclass(frozen=True)
class Shown:
    """A page after its scripts have run."""

    dom: str
    console: list[str]
    """What scripts and the browser have complained about, such as requests that the page's own policy forbids."""

    @property
    def overflow(self) -> int:
        """How many pixels the page is wider than its window."""
        found = re.search(r'data-overflow="(-?\d+)"', self.dom)
        assert found, "the page has not finished loading"
        return int(found[1])

    def count(self, id: str, tag: str) -> int:
        """Return how many elements with a tag are inside the one with an id."""
        counter = _Counter(id, tag)
        counter.feed(self.dom)
        return counter.found


def show(page: Path, tmp_path: Path, *, width: int) -> Shown:
    """Open a page; skip the test where there is no Chromium, which .ci/run installs if it can."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("needs Chromium: apt install chromium")
    measured = tmp_path / "measured.html"
    measured.write_text(page.read_text(encoding="utf-8") + _MEASURE, encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    options += [f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900", "--enable-logging=stderr"]
    result = subprocess.run(
        [chromium, *options, "--virtual-time-budget=5000", "--dump-dom", measured.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )
    return Shown(result.stdout, [line for line in result.stderr.splitlines() if "CONSOLE" in line])


class _Counter(HTMLParser):
    """Counts the elements with a tag inside the one with an id."""

    def __init__(self, id: str, tag: str) -> None:
        super().__init__()
        self.found = 0
        self._id, self._tag = id, tag
        self._outer: str | None = None
        self._depth = 0

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if self._outer is None and dict(attributes).get("id") == self._id:
            self._outer, self._depth = tag, 1
        elif self._depth:
            self.found += tag == self._tag
            self._depth += tag == self._outer

    def handle_endtag(self, tag: str) -> None:
        self._depth -= bool(self._depth) and tag == self._outer
