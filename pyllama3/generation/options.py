"""The options of functions that generate, with types, so that type checkers find a wrong one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict

from ..errors import OptionError, WeightsError
from ..runtime.session import Session
from .constraint import Grammar
from .sampling import SamplerOptions
from .speculation import Speaker


class SamplingOptions(TypedDict, total=False):
    """The fields of `SamplerOptions`, where they are explained."""

    temperature: float
    top_k: int
    top_p: float
    min_p: float
    repeat_penalty: float
    repeat_last_n: int
    repeat_prompt: bool
    presence_penalty: float
    frequency_penalty: float
    logit_bias: Mapping[int | str, float]
    seed: int | None


class TextOptions(SamplingOptions, total=False):
    """Those of `Llama.generate`, where they are explained."""

    max_tokens: int | None
    stop: str | Sequence[str]
    stop_loops: bool
    top_logprobs: int
    grammar: Grammar | None
    lookup: int
    draft: Speaker | None
    draft_tokens: int
    session: Session | None


def recommended(sampling: Mapping[str, Any], path: Path) -> SamplerOptions:
    """Return the options that the makers of a model recommend in its files.

    Raises:
        WeightsError: they recommend what is not possible.
    """
    try:
        return SamplerOptions(**sampling)
    except OptionError as error:
        raise WeightsError(f"{path}: the recommended {error}") from error


def sampler_options(options: Mapping[str, Any], defaults: SamplerOptions) -> SamplerOptions:
    """Return the options as an object.

    Raises:
        OptionError: one is unknown, of a wrong type or out of range.
    """
    known = SamplingOptions.__annotations__
    unknown = sorted(options.keys() - known)
    if unknown:
        names = dict.fromkeys(["max_tokens", *known, *TextOptions.__annotations__])
        raise OptionError(f"unknown option: {', '.join(unknown)}; known: {', '.join(names)}")
    return replace(defaults, **options)
