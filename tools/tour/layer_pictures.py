"""The pictures of what happens inside of a layer, drawn from the numbers of the tour."""

from __future__ import annotations

import math

from .numbers import HEAD, LAYER, SHOWN, Numbers
from .svg import Picture

WIDTH = 760


def norm(n: Numbers) -> Picture:
    """Draw a vector before and after RMSNorm, each in its own scale."""
    p = Picture(WIDTH, 262, "RMSNorm: the same pattern, another length")
    rows = (("stream", "before: the residual stream", n["stream_rms"][-1]), ("normed", "after", n["normed_rms"][-1]))
    for row, (name, what, rms) in enumerate(rows):
        middle, values = 76 + 120 * row, n[name]
        top = max(map(abs, values))
        p.text(20, middle - 52, f"{what}, root mean square {rms:.3g}", "strong")
        for column, value in enumerate(values):
            height = 38 * abs(value) / top
            p.box(68 + 14 * column, middle - (height if value > 0 else 0), 11, height, "hot" if value > 0 else "cool")
        p.path([(68, middle), (68 + 14 * SHOWN, middle)], width=0.8)
        for sign, y in ((1, middle - 34), (-1, middle + 42)):
            p.text(58, y, f"{sign * top:.2g}", "quiet small", anchor="end")
    p.text(68, 252, f"numbers 1 to {SHOWN} of {n['config']['dim']}", "quiet small")
    return p


def heads(n: Numbers) -> Picture:
    """Draw which query heads share a key and value head, and where each looks from the last token."""
    c, looks = n["config"], n["heads"]
    group = c["heads"] // c["kv_heads"]
    p = Picture(WIDTH, 262, f"The {c['heads']} query heads of layer {LAYER} share {c['kv_heads']} key and value heads")
    p.text(16, 24, f"Where the {c['heads']} heads of layer {LAYER} look from “{n['tokens'][-1]['text']}”", "strong")
    for head, row in enumerate(looks):
        x = 16 + 82 * head
        p.box(x, 38, 74, 124, "mark" if head == HEAD else "box", round=6)
        p.text(x + 37, 54, f"query {head}", "small strong", anchor="middle")
        for at, (token, probability) in enumerate(zip(n["tokens"], row, strict=True)):
            y = 62 + 19 * at
            p.box(x + 8, y, max(58 * probability, 0.5), 15, "hot", alpha=0.75)
            p.text(x + 10, y + 12, token["text"].strip(), "small")
    for head in range(c["kv_heads"]):
        x = 16 + 82 * group * head
        middle = x + 82 * group / 2 - 4
        for query in range(group):
            style = "hotline" if head * group + query == HEAD else "line"
            p.path([(x + 82 * query + 37, 162), (middle, 204)], style)
        p.box(middle - 70, 204, 140, 40, "mark" if head == HEAD // group else "box", round=6)
        p.text(middle, 229, f"key and value {head}", "small strong", anchor="middle")
    return p


def rope(n: Numbers) -> Picture:
    """Draw how pairs of a query turn."""
    position = len(n["tokens"]) - 1
    p = Picture(WIDTH, 240, f"Four pairs of a query at position {position}, before and after their rotation")
    for place, turn in enumerate(n["rotation"]):
        x, y, radius = 100 + 187 * place, 124, 62
        before, after = turn["before"], turn["after"]
        scale = radius / math.hypot(*before)
        p.dot(x, y, radius, "none line")
        p.path([(x - radius, y), (x + radius, y)], width=0.6)
        p.path([(x, y - radius), (x, y + radius)], width=0.6)
        start, angle = math.atan2(before[1], before[0]), position * turn["frequency"]
        arc = [start + angle * step / 40 for step in range(41)]
        p.path([(x + 24 * math.cos(a), y - 24 * math.sin(a)) for a in arc], "hotline", width=2)
        p.arrow(x, y, x + scale * before[0], y - scale * before[1], "coolline", width=2.5)
        p.arrow(x, y, x + scale * after[0], y - scale * after[1], "hotline", width=2.5)
        p.text(x, 28, f"pair {turn['pair']}", "strong", anchor="middle")
        p.text(x, 46, f"{position} x {turn['frequency']:.3g} = {angle:.3g} rad", "quiet small", anchor="middle")
    p.box(300, 212, 12, 12, "cool")
    p.text(318, 223, "before", "quiet small")
    p.box(386, 212, 12, 12, "hot")
    p.text(404, 223, "after", "quiet small")
    return p


def attention(n: Numbers) -> Picture:
    """Draw the probabilities of a head, and what the mask hides."""
    tokens, size = n["tokens"], 62
    p = Picture(WIDTH, 76 + size * len(tokens), f"Where head {HEAD} of layer {LAYER} looks")
    left, top = 210, 60
    p.text(left + size * len(tokens) / 2, 24, "looks at", "quiet small", anchor="middle")
    for at, token in enumerate(tokens):
        p.text(left + size * (at + 0.5), 46, token["text"].strip(), "strong", anchor="middle")
        p.text(left - 14, top + size * (at + 0.5) + 4, token["text"].strip(), "strong", anchor="end")
        for other, probability in enumerate(n["probabilities"][at]):
            x, y = left + size * other, top + size * at
            p.box(x + 1, y + 1, size - 2, size - 2, round=4)
            if other > at:
                p.path([(x + 22, y + 22), (x + 40, y + 40)])
                p.path([(x + 22, y + 40), (x + 40, y + 22)])
                continue
            p.box(x + 1, y + 1, size - 2, size - 2, "hot", round=4, alpha=max(probability * 0.8, 0.01))
            p.text(x + size / 2, y + size / 2 + 4, f"{probability:.2f}", "small", anchor="middle")
    x = left + size * len(tokens) + 22
    p.text(x, top + size * 0.5, "x: the future, which", "quiet small")
    p.text(x, top + size * 0.5 + 16, "the mask hides", "quiet small")
    p.text(x, top + size * 4.5 - 4, "the row that", "quiet small")
    p.text(x, top + size * 4.5 + 12, "answers you", "quiet small")
    return p


def swiglu(n: Numbers) -> Picture:
    """Draw the gate's curve over how often its arguments occur."""
    counts, loudest = n["gates"]["histogram"], n["loudest"]
    p = Picture(WIDTH, 320, "silu, and how many of the gates of one token are where")
    left, base, unit = 60, 214, 40.0

    def place(x: float, y: float) -> tuple[float, float]:
        return left + (x + 8) * unit, base - y * 28

    top = max(counts)
    for column, count in enumerate(counts):
        height = 60 * count / top
        x = left + column * unit / 4
        p.box(x + 0.5, 290 - height, unit / 4 - 1, height, "cool" if column < len(counts) / 2 else "hot")
    p.path([place(-8, 0), place(8, 0)], width=0.8)
    p.path([place(0, -0.6), place(0, 6.6)], width=0.8)
    steps = [step / 8 for step in range(-64, 53)]
    p.path([place(x, x / (1 + math.exp(-x))) for x in steps], "hotline", width=2.5)
    x, y = place(loudest["gate"], loudest["silu"])
    p.dot(x, y, 5, "hot")
    p.text(x - 14, y + 4, f"neuron {loudest['neuron']}: gate {loudest['gate']:.2f}", "small strong", anchor="end")
    p.text(place(0, 0)[0] - 12, 44, "silu(gate)", "quiet small", anchor="end")
    for x in (-6, -4, -2, 0, 2, 4, 6):
        p.text(place(x, 0)[0], 308, str(x), "quiet small", anchor="middle")
    p.text(left, 246, f"gates of the {sum(counts)}: {n['gates']['closed']:.0%} below 0", "quiet small")
    return p
