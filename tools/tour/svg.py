"""SVG pictures that are legible on light and on dark pages: each brings its own background and both palettes."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #22252a; }
.page { fill: #fbfaf8; } .quiet { fill: #5f6670; } .small { font-size: 11px; } .strong { font-weight: 600; }
.mono { font-family: ui-monospace, monospace; } .box { fill: #f0ede6; stroke: #d0ccc4; } .line { stroke: #a8a49c; }
.hot { fill: #d9641a; } .cool { fill: #2f6fb5; } .mark { fill: #ffe9b0; stroke: #d9a514; }
.hotline { stroke: #d9641a; } .coolline { stroke: #2f6fb5; } .none { fill: none; }
@media (prefers-color-scheme: dark) {
text { fill: #e6e4df; }
.page { fill: #16181c; } .quiet { fill: #9aa2ad; } .box { fill: #23272e; stroke: #404650; } .line { stroke: #59606b; }
.hot { fill: #f08a3c; } .cool { fill: #5aa2ec; } .mark { fill: #4a3d12; stroke: #b8901f; }
.hotline { stroke: #f08a3c; } .coolline { stroke: #5aa2ec; }
}
"""


class Picture:
    """A canvas; classes name colours, coordinates are pixels from the upper left corner."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self.width, self.height, self.title = width, height, title
        self._marks: list[str] = []

    def text(self, x: float, y: float, text: str, style: str = "", *, anchor: str = "start") -> None:
        """Write a text whose base line is at y."""
        place = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self._marks.append(f'<text x="{x:g}" y="{y:g}"{_class(style)}{place}>{escape(text)}</text>')

    def box(
        self, x: float, y: float, w: float, h: float, style: str = "box", *, round: float = 0, alpha: float = 1
    ) -> None:
        """Fill a rectangle."""
        corner = f' rx="{round:g}"' if round else ""
        opacity = "" if alpha == 1 else f' fill-opacity="{alpha:.2g}"'
        self._marks.append(f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}"{corner}{opacity}{_class(style)}/>')

    def signed(self, x: float, y: float, w: float, h: float, value: float, top: float) -> None:
        """Fill a rectangle with the colour of a number: hot above 0, cool below, the stronger the nearer to `top`."""
        alpha = round(min(abs(value) / top, 1), 2)
        if alpha:
            self.box(x, y, w, h, "hot" if value > 0 else "cool", alpha=alpha)

    def dot(self, x: float, y: float, radius: float, style: str) -> None:
        """Draw a disc, or a circle with the style "none"."""
        self._marks.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}"{_class(style)}/>')

    def path(self, points: Sequence[tuple[float, float]], style: str = "line", *, width: float = 1.5) -> None:
        """Join points with lines."""
        joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._marks.append(f'<polyline points="{joined}" stroke-width="{width:g}"{_class(f"none {style}")}/>')

    def arrow(self, x0: float, y0: float, x1: float, y1: float, style: str = "line", *, width: float = 1.5) -> None:
        """Draw an arrow."""
        length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5 or 1
        dx, dy = (x1 - x0) / length * 6, (y1 - y0) / length * 6
        barbs = [(x1 - dx - dy / 2, y1 - dy + dx / 2), (x1, y1), (x1 - dx + dy / 2, y1 - dy - dx / 2)]
        self.path([(x0, y0), (x1, y1)], style, width=width)
        self.path(barbs, style, width=width)

    def __str__(self) -> str:
        size = f'width="{self.width}" height="{self.height}" viewBox="0 0 {self.width} {self.height}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n<title>{escape(self.title)}</title>'
        page = f'<rect width="{self.width}" height="{self.height}" rx="8" class="page"/>'
        return "\n".join([head, f"<style>{_STYLE}</style>", page, *self._marks, "</svg>\n"])


def _class(style: str) -> str:
    return f' class="{style}"' if style else ""
