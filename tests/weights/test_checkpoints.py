"""Checkpoints of transformers and of Meta's code give the logits and the tokens that these compute from them.

To add a case: a checkpoint in tests/data/make_checkpoints.py, which also writes the logits and tokens of its maker.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from paths import DATA

from pyllama3 import Llama
from pyllama3.backends import Engine

CHECKPOINTS = sorted(DATA.joinpath("checkpoints").iterdir())
MAX_NMSE = 1e-9
"""Squared error relative to the square of the logits, for float32 on both sides; 5e-13 was seen."""


@pytest.mark.parametrize("path", CHECKPOINTS, ids=lambda path: path.name)
def test_logits_and_greedy_tokens(engine: Engine, path: Path) -> None:
    expected = np.load(path / "expected.npz")
    with Llama.load(path, backend=engine.name, precision="exact") as llm:
        ids = llm.encode_prompt((path / "prompt.txt").read_text("utf-8"))
        assert ids == expected["ids"].tolist()
        logits = llm.session().feed(ids, all_logits=True)
        error = np.square(logits.astype(np.float64) - expected["logits"]).sum()
        assert error <= MAX_NMSE * np.square(expected["logits"].astype(np.float64)).sum()
        if engine.name == "c":
            greedy = [piece.id for piece in llm.generate(ids, max_tokens=len(expected["greedy"]), temperature=0)]
            stops = [n for n, id in enumerate(expected["greedy"], start=1) if id in llm.tokenizer.stop_ids]
            assert greedy == expected["greedy"].tolist()[: min(stops, default=None)]
