"""What the page shows of a text on its way through the model, against what the host finds there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyllama3 import Llama
from pyllama3.analysis.explain.insight import Insight, look_inside

OpenPage = Callable[..., Any]
LoadHost = Callable[[Path], Llama]

TEXT = "hello<|eot_id|> wor\n\nld é"

COUNT_COLORS = """
id => {
  const canvas = document.getElementById(id);
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return new Set(new Uint32Array(data.buffer)).size;
}
"""


def open_learn(site: Path, model: Path, open_page: OpenPage, **options: Any) -> Any:
    page = open_page((site / "index.html").as_uri() + "#learn", **options)
    page.wait_for_selector("#open-button:visible")
    page.set_input_files("#open", model)
    page.wait_for_selector("#walk-start:enabled")
    return page


def walk(page: Any, text: str) -> None:
    page.fill("#walk-text", text)
    page.click("#walk-start")
    page.wait_for_selector("#walk-start:enabled")


def last_result(page: Any, key: str) -> Any:
    """The last result of the worker that has a field; typed arrays become lists."""
    return page.evaluate(
        """key => JSON.parse(JSON.stringify(results.findLast(result => key in result),
             (_, value) => ArrayBuffer.isView(value) ? Array.from(value) : value))""",
        key,
    )


def check_look(page: Any, insight: Insight, row: int) -> None:
    predictions = last_result(page, "predictions")["predictions"]
    assert len(predictions) == len(insight.predictions)
    for found, layer in zip(predictions, insight.predictions, strict=True):
        assert [best["id"] for best in found] == [id for id, _ in layer[row]]
        assert [best["probability"] for best in found] == pytest.approx([p for _, p in layer[row]], rel=1e-4)


def test_a_walk_shows_what_the_host_finds(site: Path, tiny: Path, open_page: OpenPage, load_host: LoadHost) -> None:
    llm = load_host(tiny)
    ids = llm.encode_prompt(TEXT)
    insight = look_inside(llm.trace(ids))
    page = open_learn(site, tiny, open_page)
    page.evaluate("document.getElementById('option-temperature').value = 0")
    walk(page, TEXT)
    shown = last_result(page, "attention")
    assert [token["id"] for token in shown["tokens"]] == ids
    assert [token["isSpecial"] for token in shown["tokens"]] == [llm.tokenizer.is_special(id) for id in ids]
    np.testing.assert_allclose(np.reshape(shown["attention"], insight.attention.shape), insight.attention, atol=1e-5)
    for ours, theirs in (("attention", "attention"), ("feedForward", "feed-forward")):
        for key, lengths in (("before", insight.streams), ("added", insight.added)):
            found = [layer[key] for layer in shown["lengths"][ours]]
            np.testing.assert_allclose(found, lengths[theirs], rtol=1e-4)
    check_look(page, insight, len(ids) - 1)
    page.locator("#walk-tokens button").nth(2).click()
    page.wait_for_selector("#walk-start:enabled")
    check_look(page, insight, 2)

    [piece] = llm.generate(TEXT, temperature=0, max_tokens=1)
    assert last_result(page, "steps")["id"] == piece.id
    page.click("#append")
    page.wait_for_selector("#walk-start:enabled")
    assert [token["id"] for token in last_result(page, "attention")["tokens"]] == [*ids, piece.id]
    check_look(page, look_inside(llm.trace([*ids, piece.id])), len(ids))


def test_a_draw_is_that_of_the_sampler(site: Path, tiny: Path, open_page: OpenPage, load_host: LoadHost) -> None:
    llm = load_host(tiny)
    page = open_learn(site, tiny, open_page)
    for seed in range(5):
        page.evaluate("seed => { document.getElementById('option-seed').value = seed; }", seed)
        walk(page, TEXT)
        [piece] = llm.generate(TEXT, max_tokens=1, seed=seed)
        assert last_result(page, "steps")["id"] == piece.id
        assert page.locator("#steps .chosen").count() == page.locator("#steps table").count()
    page.click("#draw")
    page.wait_for_selector("#draw:enabled")
    assert last_result(page, "steps")["seed"] > 4


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_all_is_drawn_and_fits(site: Path, tiny: Path, open_page: OpenPage, width: int, scheme: str) -> None:
    page = open_learn(site, tiny, open_page, viewport={"width": width, "height": 844}, color_scheme=scheme)
    walk(page, TEXT)
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    layers, dim = 2, 64
    assert page.locator("#lens tr").count() == layers + 1
    assert page.locator("#added .layer").count() == layers
    assert page.evaluate("[stream.width, stream.height]") == [dim, layers + 1]
    for canvas, least in (("stream", 20), ("map", 2)):
        assert page.evaluate(COUNT_COLORS, canvas) > least
    looks = page.locator("#looks .token").all_inner_texts()
    assert sum(float(text.split()[-1].rstrip("%")) for text in looks) == pytest.approx(100, abs=3)


def test_the_layers_play(site: Path, tiny: Path, open_page: OpenPage) -> None:
    page = open_learn(site, tiny, open_page)
    walk(page, TEXT)
    assert page.inner_text("#layer-name") == "layer 1"
    page.evaluate(
        "names = []; new MutationObserver(() => names.push(document.getElementById('layer-name').textContent))"
        ".observe(document.getElementById('layer-name'), { childList: true })"
    )
    page.click("#layer-play")
    page.locator("#layer-play", has_text="▶").wait_for()
    assert page.evaluate("names") == ["embedding", "layer 0", "layer 1"]
    assert page.locator("#lens .current th").inner_text() == "layer 1"


def test_too_long_a_text_is_told(site: Path, tiny: Path, open_page: OpenPage) -> None:
    page = open_learn(site, tiny, open_page)
    walk(page, "x" * 70)
    assert page.inner_text("#walk-state") == "The text has 71 tokens; allowed here: 64."
    walk(page, "x")
    assert page.is_visible("#walked")
    assert page.inner_text("#walk-state") == ""
