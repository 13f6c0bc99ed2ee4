"""The pictures of the tour before and after the layers, drawn from its numbers."""

from __future__ import annotations

import math
from collections.abc import Callable

from .layer_pictures import attention, heads, norm, rope, swiglu
from .numbers import ANSWER, HEAD, LAYER, SHOWN, Numbers
from .svg import Picture

WIDTH = 760


def draw_all(numbers: Numbers) -> dict[str, str]:
    """Return all pictures by the names of their files."""
    return {f"{name}.svg": str(draw(numbers)) for name, draw in _PICTURES.items()}


def road(n: Numbers) -> Picture:
    """Draw the way of the tour, with its stops."""
    c, best = n["config"], n["best"][0]
    p = Picture(780, 330, "The road from a question to its answer, in ten stops")

    def stop(x: float, y: float, w: float, number: str, name: str, fact: str) -> None:
        p.box(x, y, w, 52, round=6)
        p.dot(x + 16, y + 18, 9, "hot")
        p.text(x + 16, y + 22, number, "strong small page", anchor="middle")
        p.text(x + 30, y + 22, name, "strong")
        p.text(x + 10, y + 42, fact, "quiet small")

    p.text(20, 34, f"“{''.join(token['text'] for token in n['tokens'])}”", "strong")
    p.arrow(20, 46, 20, 64)
    stop(20, 66, 190, "1", "Tokens", " ".join(str(token["id"]) for token in n["tokens"]))
    p.arrow(210, 92, 232, 92)
    stop(234, 66, 150, "2", "Embedding", f"{len(n['tokens'])} x {c['dim']} numbers")
    p.path([(384, 92), (758, 92), (758, 134), (40, 134), (40, 236)])
    p.text(470, 84, "the residual stream", "quiet small")

    p.box(20, 146, 744, 106, "box none", round=8)
    p.text(754, 164, f"x {c['layers']} layers", "strong", anchor="end")
    p.path([(40, 236), (752, 236)], "hotline", width=2.5)
    stop(62, 170, 110, "3", "RMSNorm", "one length")
    stop(178, 170, 94, "4", "Q, K, V", f"{c['heads']}+{c['kv_heads']}+{c['kv_heads']} heads")
    stop(278, 170, 84, "5", "RoPE", "positions")
    stop(368, 170, 108, "6", "Attention", f"{n['probabilities'][-1][3]:.0%} France")
    stop(524, 170, 110, "3", "RMSNorm", "one length")
    stop(638, 170, 96, "7", "SwiGLU", f"{c['hidden_dim']} gates")
    for begin, first, last, plus in ((50, 62, 476, 494), (512, 524, 734, 744)):
        p.path([(begin, 236), (begin, 196), (first, 196)])
        p.path([(last, 196), (plus, 196), (plus, 228)])
        p.dot(plus, 236, 8, "page hotline")
        p.text(plus, 241, "+", "strong", anchor="middle")

    p.path([(40, 236), (40, 290), (58, 290)])
    ranks = n["layers"]
    stop(60, 264, 210, "8", "Thirty layers", f"“{ANSWER}”: rank {ranks[0]['rank']} to rank {ranks[-1]['rank']}")
    p.arrow(270, 290, 292, 290)
    stop(294, 264, 160, "9", "Head", f"{c['vocab_size']} logits")
    p.arrow(454, 290, 476, 290)
    stop(478, 264, 150, "10", "Sampler", f"{best['p']:.1%} sure")
    p.arrow(628, 290, 650, 290)
    p.text(658, 295, f"“{best['text']}”", "strong")
    return p


def merges(n: Numbers) -> Picture:
    """Draw how the bytes of a piece merge."""
    steps = n["merges"]
    p = Picture(WIDTH, 28 * len(steps) + 44, "The bytes of “ capital” merge to one token")
    unit = 44
    for row, parts in enumerate(steps):
        y, x = 20 + 28 * row, 120.0
        before = steps[row - 1] if row else parts
        p.text(104, y + 16, "bytes" if not row else f"merge {row}", "quiet small", anchor="end")
        for part in parts:
            width = unit * len(part)
            p.box(x + 1, y, width - 2, 23, "box" if part in before else "mark", round=4)
            p.text(x + width / 2, y + 16, part.replace(" ", "␣"), "mono", anchor="middle")
            x += width
    p.text(120 + unit * 8 + 20, 20 + 28 * (len(steps) - 1) + 16, f"token {n['tokens'][1]['id']}", "strong")
    p.text(120, p.height - 8, "␣ is a space", "quiet small")
    return p


def embedding(n: Numbers) -> Picture:
    """Draw the first numbers of the embeddings."""
    rows = n["embedding"]
    p = Picture(WIDTH, 30 * len(rows) + 56, f"The first {SHOWN} numbers of each embedding")
    for row, (token, vector) in enumerate(zip(n["tokens"], rows, strict=True)):
        y = 20 + 30 * row
        p.text(104, y + 17, token["text"].replace(" ", "␣"), "mono", anchor="end")
        for column, value in enumerate(vector):
            p.signed(116 + 13 * column, y, 12, 24, value, 0.3)
    y = 20 + 30 * len(rows) + 18
    p.text(116, y, f"numbers 1 to {SHOWN} of {n['config']['dim']}", "quiet small")
    p.box(560, y - 10, 12, 12, "cool")
    p.text(578, y, "-0.3 or less", "quiet small")
    p.box(652, y - 10, 12, 12, "hot")
    p.text(670, y, "0.3 or more", "quiet small")
    return p


def layers(n: Numbers) -> Picture:
    """Draw the rank of the answer after each layer."""
    states = n["layers"]
    p = Picture(WIDTH, 330, f"The rank of “{ANSWER}” if the model stopped after a layer")
    left, right, top, bottom = 76, 730, 40, 274

    def place(at: int, rank: float) -> tuple[float, float]:
        return left + at * (right - left) / (len(states) - 1), top + math.log10(rank) / 4 * (bottom - top)

    p.text(16, 24, f"rank of “{ANSWER}” among {n['config']['vocab_size']} tokens", "quiet small")
    for power in range(5):
        y = place(0, 10**power)[1]
        p.path([(left, y), (right, y)], width=0.7)
        p.text(left - 10, y + 4, str(10**power), "quiet small", anchor="end")
    for at in (0, *range(5, len(states), 5)):
        p.text(place(at, 1)[0], bottom + 22, "embedding" if at == 0 else str(at - 1), "quiet small", anchor="middle")
    p.text((left + right) / 2, bottom + 42, "after layer", "quiet small", anchor="middle")
    points = [place(at, state["rank"]) for at, state in enumerate(states)]
    p.path(points, "hotline", width=2)
    for point in points:
        p.dot(*point, 3, "hot")
    x, y = points[LAYER + 1]
    p.dot(x, y, 7, "none hotline")
    p.text(x - 16, y - 2, f"layer {LAYER}: head {HEAD} has", "small strong", anchor="end")
    p.text(x - 16, y + 13, "read “ France”", "small strong", anchor="end")
    x, y = points[-1]
    p.text(x - 4, y - 10, f"rank 1, {states[-1]['p'][0]:.0%}", "small strong", anchor="end")
    return p


def sampler(n: Numbers) -> Picture:
    """Draw the best probabilities at three temperatures, and what top-p keeps."""
    p = Picture(WIDTH, 290, "The best ten tokens at three temperatures")
    for row, token in enumerate(n["best"]):
        p.text(92, 66 + 21 * row, token["text"].replace(" ", "␣"), "mono small", anchor="end")
    for panel, (temperature, sampled) in enumerate(n["temperatures"].items()):
        x = 104 + 220 * panel
        p.text(x, 28, f"temperature {temperature}", "strong")
        p.text(x, 44, f"top-p 0.9 keeps {sampled['kept']}", "quiet small")
        for row, probability in enumerate(sampled["p"]):
            y, kept = 54 + 21 * row, row < sampled["kept"]
            p.box(x, y, max(130 * probability, 1), 15, "hot" if kept else "box")
            p.text(x + 130 * probability + 6, y + 12, f"{probability:.1%}", "small" if kept else "quiet small")
    p.text(104, 278, "orange: what top-p lets the draw choose from", "quiet small")
    return p


_PICTURES: dict[str, Callable[[Numbers], Picture]] = {
    "road": road,
    "merges": merges,
    "embedding": embedding,
    "norm": norm,
    "heads": heads,
    "rope": rope,
    "attention": attention,
    "swiglu": swiglu,
    "layers": layers,
    "sampler": sampler,
}
