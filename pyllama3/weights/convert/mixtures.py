"""Mixtures of tensor types under the names of llama.cpp, which spends more bits where errors hurt more.

The rules are those of llama.cpp (src/llama-quant.cpp) for Llama models, without an importance matrix; its choices for
small models are kept in tests/data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ...config import ModelConfig
from ..layout import EMBEDDING, OUTPUT
from ..types import TensorType

_Rule = Callable[[int, ModelConfig], TensorType | None]
"""Chooses by the layer, None for the base type."""


@dataclass(frozen=True)
class Mixture:
    """Which types the matrices of a model get."""

    file_type: int
    """Value of general.file_type (llama.h, llama_ftype)."""
    base: TensorType
    rules: Mapping[str, _Rule] = field(default_factory=dict)
    """Exceptions by the short name of a tensor, such as "attn_v"."""

    def type_of(self, name: str, shape: tuple[int, ...], config: ModelConfig, *, tied: bool) -> TensorType:
        """Return the type of a tensor; vectors are always F32, rows that are no whole blocks get a simpler type."""
        return _fitting(self.wanted_type(name, shape, config, tied=tied), shape[-1])

    def wanted_type(self, name: str, shape: tuple[int, ...], config: ModelConfig, *, tied: bool) -> TensorType:
        """Return the type that a tensor would have if its rows were whole blocks."""
        if len(shape) == 1:
            return TensorType.F32
        if self.base.block_size == 1:
            return self.base
        return self._type_of_matrix(name, config, tied=tied)

    def _type_of_matrix(self, name: str, config: ModelConfig, *, tied: bool) -> TensorType:
        if name == (EMBEDDING if tied else OUTPUT):
            return self.base if self.base == TensorType.Q8_0 else TensorType.Q6_K
        parts = name.split(".")  # "blk.0.attn_v.weight" or "token_embd.weight"
        if parts[0] != "blk":
            return self.base
        short, layer = parts[2], int(parts[1])
        rule = self.rules.get(short)
        type = (rule(layer, config) if rule else None) or self.base
        if short == "attn_v" and _is_70b(config) and type in (TensorType.Q3_K, TensorType.Q4_K):
            return TensorType.Q5_K  # 8 heads share it, so that it is small
        return type


def _is_70b(config: ModelConfig) -> bool:
    return config.layers == 80 and config.heads != config.kv_heads


_FALLBACKS = {
    TensorType.Q2_K: TensorType.Q4_0,
    TensorType.Q3_K: TensorType.Q4_0,
    TensorType.Q4_K: TensorType.Q5_0,
    TensorType.Q5_K: TensorType.Q5_1,
    TensorType.Q6_K: TensorType.Q8_0,
    TensorType.IQ4_XS: TensorType.IQ4_NL,
}
"""Types for rows that are no multiple of 256."""


def _fitting(type: TensorType, columns: int) -> TensorType:
    if columns % type.block_size:
        type = _FALLBACKS.get(type, type)
    return TensorType.F16 if columns % type.block_size else type


def _always(type: TensorType) -> _Rule:
    return lambda layer, config: type


def _first_layers(count: int, type: TensorType, otherwise: TensorType | None = None) -> _Rule:
    return lambda layer, config: type if layer < count else otherwise


def _first_part(parts: int, type: TensorType, otherwise: TensorType | None = None) -> _Rule:
    return lambda layer, config: type if layer < config.layers // parts else otherwise


def _widely_shared(type: TensorType, otherwise: TensorType | None = None) -> _Rule:
    """For keys and values that are shared by 4 heads or more."""
    return lambda layer, config: type if config.heads // config.kv_heads >= 4 else otherwise


def _ends_and_thirds(type: TensorType) -> _Rule:
    """For the first and the last eighth of the layers, and every third between them."""

    def rule(layer: int, config: ModelConfig) -> TensorType | None:
        eighth = config.layers // 8
        is_chosen = layer < eighth or layer >= 7 * config.layers // 8 or (layer - eighth) % 3 == 2
        return type if is_chosen else None

    return rule


_T = TensorType
_MORE_Q6_K = {"attn_v": _ends_and_thirds(_T.Q6_K), "ffn_down": _ends_and_thirds(_T.Q6_K)}
_MORE_Q5_K = {"attn_v": _widely_shared(_T.Q5_K), "ffn_down": _first_part(8, _T.Q5_K)}
_BEGIN_Q5_K = {"attn_v": _first_layers(4, _T.Q5_K), "ffn_down": _first_part(8, _T.Q5_K)}
_WITH_Q3_K = {
    "attn_v": _widely_shared(_T.Q4_K, _T.Q3_K),
    "ffn_down": _always(_T.Q3_K),
    "attn_output": _always(_T.Q3_K),
}
_WITH_Q4_K = {
    "attn_v": _first_layers(2, _T.Q5_K, _T.Q4_K),
    "ffn_down": _first_part(16, _T.Q5_K, _T.Q4_K),
    "attn_output": _always(_T.Q4_K),
}
_WITH_Q5_K = {name: _always(_T.Q5_K) for name in ("attn_v", "ffn_down", "attn_output")}

MIXTURES = {
    "F32": Mixture(0, _T.F32),
    "F16": Mixture(1, _T.F16),
    "BF16": Mixture(32, _T.BF16),
    "Q8_0": Mixture(7, _T.Q8_0),
    "Q6_K": Mixture(18, _T.Q6_K),
    "Q5_K_M": Mixture(17, _T.Q5_K, _MORE_Q6_K),
    "Q5_K_S": Mixture(16, _T.Q5_K),
    "Q5_1": Mixture(9, _T.Q5_1),
    "Q5_0": Mixture(8, _T.Q5_0),
    "Q4_K_M": Mixture(15, _T.Q4_K, _MORE_Q6_K),
    "Q4_K_S": Mixture(14, _T.Q4_K, _BEGIN_Q5_K),
    "Q4_1": Mixture(3, _T.Q4_1),
    "Q4_0": Mixture(2, _T.Q4_0),
    "IQ4_NL": Mixture(25, _T.IQ4_NL, _MORE_Q5_K),
    "IQ4_XS": Mixture(30, _T.IQ4_XS, _MORE_Q5_K),
    "Q3_K_L": Mixture(13, _T.Q3_K, _WITH_Q5_K),
    "Q3_K_M": Mixture(12, _T.Q3_K, _WITH_Q4_K),
    "Q3_K_S": Mixture(11, _T.Q3_K),
    "Q2_K": Mixture(10, _T.Q2_K, _WITH_Q3_K),
}
"""The mixtures by their names, the largest first."""
