"""The numbers of the tour: what the numpy reference computes on the way from one question to its answer."""

from __future__ import annotations

import math
from collections import ChainMap
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from pyllama3.analysis.dequantized import DequantizedTensors
from pyllama3.analysis.reference import Array, Record, ReferenceModel, rope_frequencies, silu, softmax
from pyllama3.analysis.reference_tokenizer import reference_tokenizer
from pyllama3.tokenizer.tokenizer import Tokenizer
from pyllama3.weights import Weights

PROMPT, ANSWER = "The capital of France is", " Paris"
LAYER, HEAD = 23, 4
"""The layer and the query head that the tour looks into: of all, the one that " Paris" depends on most."""
WATCHED = (" Paris", " the", " London")
"""Tokens whose probability is followed through the layers."""
PAIRS = (0, 4, 8, 16)
"""Pairs of a head whose rotation is drawn."""
SHOWN = 48
"""Numbers of a vector that are drawn."""
BEST = 10
"""Candidates for the next token that are shown."""

Numbers = dict[str, Any]
"""What JSON can hold."""


def measure(weights: Weights) -> Numbers:
    """Return all numbers of the tour, with six digits."""
    config, vocabulary = weights.config, weights.load_vocabulary()
    tokenizer = Tokenizer(vocabulary)
    ids = tokenizer.encode(PROMPT)
    watched = [tokenizer.encode(token)[0] for token in WATCHED]
    tensors = DequantizedTensors(weights)
    model = ReferenceModel(config, tensors)
    record: Record = {}
    logits = model.forward(ids, model.cache(), record)[-1]  # (V,)

    def of(name: str) -> Array:
        return record[f"blk.{LAYER}.{name}"]

    stream = record[f"blk.{LAYER - 1}.ffn_residual"]  # (T, D)
    kv_head = HEAD * config.kv_heads // config.heads
    gate, up, hidden = of("gate")[-1], of("up")[-1], of("swiglu")[-1]  # (F,)
    loudest = int(np.argmax(np.abs(hidden)))
    best = np.argsort(-logits, kind="stable")[:BEST]
    frequencies = rope_frequencies(config.head_dim, config.rope_theta)
    numbers = {
        "config": {
            "dim": config.dim,
            "layers": config.layers,
            "heads": config.heads,
            "kv_heads": config.kv_heads,
            "head_dim": config.head_dim,
            "hidden_dim": config.hidden_dim,
            "vocab_size": config.vocab_size,
            "rope_theta": config.rope_theta,
            "parameters": sum(math.prod(tensor.shape) for tensor in weights.tensors.values()),
        },
        "tokens": [{"id": id, "text": tokenizer.token_name(id)} for id in ids],
        "merges": _merges(weights, " capital"),
        "france": ["|".join(parts) for parts in _merges(weights, " France")],
        "embedding": record["token_embd"][:, :SHOWN],
        "embedding_lengths": np.linalg.norm(record["token_embd"], axis=1),
        "stream": stream[-1, :SHOWN],
        "stream_rms": np.sqrt(np.mean(stream**2, axis=1)),
        "normed": of("attn_norm")[-1, :SHOWN],
        "norm_weight": tensors[f"blk.{LAYER}.attn_norm.weight"][:SHOWN],
        "normed_rms": np.sqrt(np.mean(of("attn_norm") ** 2, axis=1)),
        "q": of("q")[-1, HEAD, :SHOWN],
        "k": of("k")[:, kv_head, :SHOWN],
        "v": of("v")[:, kv_head, :SHOWN],
        "rotation": [_rotation(of("q")[-1, HEAD], of("q_rope")[-1, HEAD], frequencies, pair) for pair in PAIRS],
        "scores": of("scores")[-1, HEAD],
        "probabilities": of("probabilities")[:, HEAD],
        "heads": of("probabilities")[-1],
        "values": of("values")[-1, HEAD, :SHOWN],
        "lengths": {
            "stream": np.linalg.norm(stream[-1]),
            "attention": np.linalg.norm(of("attn_output")[-1]),
            "feed_forward": np.linalg.norm(of("down")[-1]),
            "out": np.linalg.norm(of("ffn_residual")[-1]),
        },
        "gates": {
            "histogram": np.histogram(gate, bins=np.arange(-8, 8.25, 0.25))[0],
            "least": gate.min(),
            "most": gate.max(),
            "closed": np.mean(gate < 0),
            "wide_open": int(np.sum(gate > 1)),
        },
        "loudest": {
            "neuron": loudest,
            "gate": gate[loudest],
            "silu": silu(gate)[loudest],
            "up": up[loudest],
            "hidden": hidden[loudest],
        },
        "layers": _through_the_layers(model, record, watched),
        "best": [
            {"id": int(id), "text": tokenizer.token_name(int(id)), "logit": logits[id], "p": softmax(logits)[id]}
            for id in best
        ],
        "logits": {"least": logits.min(), "mean": logits.mean()},
        "temperatures": {str(t): _sampled(logits, t) for t in (0.6, 1.0, 1.5)},
        "without_head": _without_head(model, stream, watched[0]),
    }
    rounded: Numbers = _rounded(numbers)
    return rounded


def _merges(weights: Weights, piece: str) -> list[list[str]]:
    steps = reference_tokenizer(weights.load_vocabulary()).steps(piece.encode())
    return [[part.decode() for part in parts] for parts in steps]


def _rotation(before: Array, after: Array, frequencies: Array, pair: int) -> Numbers:
    """Return a pair of a head (Dh,) of the last token, in GGUF's order of rows: neighbours."""
    at = slice(2 * pair, 2 * pair + 2)
    return {"pair": pair, "frequency": frequencies[pair], "before": before[at], "after": after[at]}


def _through_the_layers(model: ReferenceModel, record: Record, watched: Sequence[int]) -> list[Numbers]:
    """Return what the head would say of the last token after the embedding and after each layer."""
    names = ["token_embd", *(f"blk.{layer}.ffn_residual" for layer in range(model.config.layers))]
    streams = np.stack([record[name][-1] for name in names])  # (L + 1, D)
    probabilities = softmax(model.head(streams))  # (L + 1, V)
    ranks = [1 + np.sum(row > row[watched[0]]) for row in probabilities]
    return [
        {"p": row[list(watched)], "rank": int(rank), "length": np.linalg.norm(stream)}
        for row, rank, stream in zip(probabilities, ranks, streams, strict=True)
    ]


def _sampled(logits: Array, temperature: float, top_p: float = 0.9) -> Numbers:
    """Return the best probabilities at a temperature, and how many tokens top-p keeps."""
    ranked = -np.sort(-softmax(logits / temperature))
    return {"p": ranked[:BEST], "kept": int(np.searchsorted(np.cumsum(ranked), top_p)) + 1}


def _without_head(model: ReferenceModel, streams: Array, watched: int) -> Numbers:
    """Return the probability of a token when what the head has found is thrown away."""
    name, width = f"blk.{LAYER}.attn_output.weight", model.config.head_dim
    output = model.tensors[name].copy()
    output[:, HEAD * width : (HEAD + 1) * width] = 0
    broken = ReferenceModel(model.config, ChainMap({name: output}, cast(dict[str, Array], model.tensors)))
    cache = broken.cache()
    for layer in range(LAYER, model.config.layers):
        streams = broken.layer(layer, streams, cache)
    probabilities = softmax(broken.head(streams)[-1])
    return {"p": probabilities[watched], "rank": int(1 + np.sum(probabilities > probabilities[watched]))}


def _rounded(value: Any) -> Any:
    """Return what JSON can hold, floats with six digits; -inf, the score of the future, as None."""
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    if isinstance(value, list | np.ndarray):
        return [_rounded(inner) for inner in value]
    if isinstance(value, float | np.floating):
        return float(f"{value:.6g}") if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
