"""An explanation as a page that needs no network."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np

from ...model import Llama
from ...tokenizer.tokenizer import Tokenizer
from ..explain.explanation import Explanation
from .render import render_page, render_text

_TEMPLATE = "explain.html"


def write_page(path: Path, explanation: Explanation, llm: Llama) -> None:
    """Write the page."""
    render_page(path, _TEMPLATE, **_values(explanation, llm))


def page_text(explanation: Explanation, llm: Llama) -> str:
    """Return the page."""
    return render_text(_TEMPLATE, **_values(explanation, llm))


def _values(explanation: Explanation, llm: Llama) -> dict[str, Any]:
    return {
        "explanation": explanation,
        "llm": llm,
        "token": lambda id: shown(llm.tokenizer, id),
        "special": llm.tokenizer.is_special,
        "data": _data(explanation, llm.tokenizer),
    }


def _data(explanation: Explanation, tokenizer: Tokenizer) -> dict[str, Any]:
    """Return what the script on the page shows for the token that the reader selects."""
    insight = explanation.insight
    return {
        "tokens": [shown(tokenizer, id) for id in explanation.ids],
        "first": explanation.prompt_length - 1,
        "predictions": [
            [[(shown(tokenizer, id), round(p, 4)) for id, p in best] for best in layer] for layer in insight.predictions
        ],
        "shape": insight.attention.shape,
        "attention": _bytes(insight.attention),
        "stream": {name: lengths.round(3).tolist() for name, lengths in insight.streams.items()},
        "added": {name: lengths.round(3).tolist() for name, lengths in insight.added.items()},
    }


def shown(tokenizer: Tokenizer, id: int) -> str:
    """Return a token for display, in quotes if there would be nothing to see."""
    name = tokenizer.token_name(id)
    return name if name.strip() else f'"{name}"'


def _bytes(probabilities: np.ndarray) -> str:
    """Return probabilities as bytes 0 to 255, in base64."""
    return base64.b64encode(np.rint(probabilities * 255).astype(np.uint8).tobytes()).decode()
