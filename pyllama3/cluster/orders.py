"""What actors are told, and what they tell."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import __version__
from ..errors import StoreError


@dataclass(frozen=True, kw_only=True)
class Order:
    """What an actor is to load."""

    model: str
    parallel: int
    """Questions at a time."""
    defaults: Mapping[str, Any]
    """Options of the sampler for what a question does not say."""
    options: Mapping[str, Any]
    """Of `Llama.load`."""
    files: Sequence[str]
    """Those that have to be where the actor is."""

    def check_files(self) -> None:
        """Check that this machine has the files.

        Raises:
            StoreError: one is missing.
        """
        for file in self.files:
            if not os.path.exists(file):
                raise StoreError(
                    f"{file}: not on this machine; every machine needs it in this place, "
                    "or a name that it can download, such as hf:org/repo:file"
                )


@dataclass(frozen=True, kw_only=True)
class Report:
    """What has become of an order."""

    machine: str
    version: str = __version__
    error: str = ""
    """Why there is no model."""
    bits: bytes = b""
    """Digest of some logits: the same where the same answers are computed."""


def make_order(model: str, *, parallel: int, defaults: Mapping[str, Any], options: Mapping[str, Any]) -> Order:
    """Return an order in which files that are here have their full names."""
    adapters = [name for name, _ in options["lora"]]
    paths = {name: os.path.abspath(name) for name in (model, *adapters) if os.path.exists(name)}
    lora = [(paths.get(name, name), scale) for name, scale in options["lora"]]
    return Order(
        model=paths.get(model, model),
        parallel=parallel,
        defaults=defaults,
        options={**options, "lora": lora},
        files=tuple(paths.values()),
    )
