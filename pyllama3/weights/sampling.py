"""How the makers of a model want its tokens to be chosen, under the names of the sampler's options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Sampling = Mapping[str, Any]
"""Numbers by name."""

_GGUF = {
    "general.sampling.temp": "temperature",
    "general.sampling.top_k": "top_k",
    "general.sampling.top_p": "top_p",
    "general.sampling.min_p": "min_p",
    "general.sampling.penalty_repeat": "repeat_penalty",
    "general.sampling.penalty_last_n": "repeat_last_n",
}
"""Keys that llama.cpp takes its defaults from."""
_GENERATION_CONFIG = {
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "repetition_penalty": "repeat_penalty",
}
"""Keys of generation_config.json, which `transformers` takes its defaults from."""
_INTEGERS = ("top_k", "repeat_last_n")
_DIGITS = 7
"""That a number of single precision has; 0.6 comes as 0.60000002384."""


def gguf_sampling(metadata: Mapping[str, Any]) -> Sampling:
    """Return what the metadata of a GGUF file recommends."""
    return _read(metadata, _GGUF)


def huggingface_sampling(generation_config: Mapping[str, Any]) -> Sampling:
    """Return what generation_config.json recommends; without sampling, that is the best token."""
    sampling = _read(generation_config, _GENERATION_CONFIG)
    return {**sampling, "temperature": 0.0} if generation_config.get("do_sample") is False else sampling


def sampling_metadata(sampling: Sampling) -> dict[str, Any]:
    """Return a recommendation as metadata, of which `gguf_sampling` makes the same one again."""
    return {key: sampling[name] for key, name in _GGUF.items() if name in sampling}


def _read(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return the values that are numbers; the others are no recommendation."""
    result: dict[str, Any] = {}
    for key, name in names.items():
        value = values.get(key)
        if type(value) is int or (type(value) is float and name not in _INTEGERS):
            result[name] = value if name in _INTEGERS else float(f"{value:.{_DIGITS}g}")
    return result
