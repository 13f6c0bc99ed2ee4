"""Llama 3 in numpy and float64: the independent witness of the engine, for `pyllama3 compare` and for the tests.

Written from the papers (RMSNorm: arXiv 1910.07467; RoPE: 2104.09864; SwiGLU: 2002.05202; grouped-query attention:
2305.13245; Llama 3: 2407.21783), not from the engine. Every operation is a function of its own, every binding shows
its shape.

    D  dim          width of the residual stream       V  vocab_size
    H  heads        query heads                        L  layers
    K  kv_heads     key and value heads, H % K == 0    T  tokens of this pass
    Dh head_dim     width of one head                  P  positions held by a cache, these tokens included
    F  hidden_dim   width of the feed-forward network
"""

# mypy: disable-error-code="no-any-return"
# numpy types expressions as Any here and there, and naming each result would bury the formulas.

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ..config import ModelConfig, RopeStyle

Array = npt.NDArray[np.float64]
Record = dict[str, Array]


def rms_norm(x: Array, weight: Array, eps: float) -> Array:
    """Return x (..., D) scaled to a root mean square of one, times weight (D,)."""
    mean_square = np.mean(x * x, axis=-1, keepdims=True)  # (..., 1)
    return x / np.sqrt(mean_square + eps) * weight  # (..., D)


def softmax(x: Array) -> Array:
    """Return the softmax over the last axis; an element of -inf gets probability 0."""
    exponentials = np.exp(x - x.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def silu(x: Array) -> Array:
    """Return x * sigmoid(x)."""
    return x / (1 + np.exp(-x))


def swiglu(gate: Array, up: Array) -> Array:
    """Return silu(gate) * up."""
    return silu(gate) * up


def llama3_rope_factors(
    head_dim: int, theta: float, factor: float, low: float = 1, high: float = 4, old_context: int = 8192
) -> Array:
    """Return the divisors (Dh/2,) of the rotation angles in Llama 3.1 and later.

    A wavelength above old_context/low is stretched by `factor`, one below old_context/high stays, and between them
    the frequency is interpolated (meta-llama/llama-models, `apply_scaling`).
    """
    wavelength = 2 * np.pi / rope_frequencies(head_dim, theta)  # (Dh/2,) positions per turn
    unscaled = np.clip((old_context / wavelength - low) / (high - low), 0, 1)  # (Dh/2,) 1: stays, 0: stretched
    return 1 / ((1 - unscaled) / factor + unscaled)  # (Dh/2,)


def rope_frequencies(head_dim: int, theta: float, factors: Sequence[float] | Array | None = None) -> Array:
    """Return the angle (Dh/2,) by which each pair turns per position, divided by its factor."""
    pair = np.arange(head_dim // 2)  # (Dh/2,)
    frequencies = theta ** (-2.0 * pair / head_dim)  # (Dh/2,)
    return frequencies if factors is None else frequencies / np.asarray(factors, np.float64)


def rope(x: Array, positions: npt.NDArray[np.int64], frequencies: Array, style: RopeStyle) -> Array:
    """Return x (T, heads, Dh) with each pair turned by position * frequency."""
    angle = positions[:, None, None] * frequencies  # (T, 1, Dh/2)
    half = x.shape[-1] // 2
    interleaved = style == RopeStyle.INTERLEAVED
    first, second = (np.s_[..., 0::2], np.s_[..., 1::2]) if interleaved else (np.s_[..., :half], np.s_[..., half:])
    turned = np.empty_like(x)  # (T, heads, Dh)
    turned[first] = x[first] * np.cos(angle) - x[second] * np.sin(angle)
    turned[second] = x[first] * np.sin(angle) + x[second] * np.cos(angle)
    return turned


def half_split_rows(weight: Array, heads: int) -> Array:
    """Return wq or wk (heads * Dh, D) with its rows moved from Meta's order (and GGUF's) to Hugging Face's."""
    pairs = weight.reshape(heads, -1, 2, weight.shape[-1])  # (heads, Dh/2, 2, D)
    return pairs.swapaxes(1, 2).reshape(weight.shape)


def attention_scores(q: Array, keys: Array, positions: npt.NDArray[np.int64]) -> Array:
    """Return the scores (T, H, P) of queries (T, H, Dh) against keys (P, K, Dh), -inf for keys of the future."""
    per_head = np.repeat(keys, q.shape[1] // keys.shape[1], axis=1)  # (P, H, Dh) a key head serves H/K query heads
    scores = np.einsum("thd,phd->thp", q, per_head) / np.sqrt(q.shape[-1])  # (T, H, P)
    future = np.arange(len(keys)) > positions[:, None, None]  # (T, 1, P)
    return np.where(future, -np.inf, scores)


def attention_values(probabilities: Array, values: Array) -> Array:
    """Return the mean (T, H, Dh) of values (P, K, Dh) weighted by probabilities (T, H, P)."""
    per_head = np.repeat(values, probabilities.shape[1] // values.shape[1], axis=1)  # (P, H, Dh)
    return np.einsum("thp,phd->thd", probabilities, per_head)


def attention(q: Array, keys: Array, values: Array, positions: npt.NDArray[np.int64]) -> Array:
    """Return causal grouped-query attention (T, H, Dh) of q (T, H, Dh) over keys and values (P, K, Dh)."""
    return attention_values(softmax(attention_scores(q, keys, positions)), values)


class Cache:
    """The rotated keys and the values (P, K, Dh) of one sequence, per layer."""

    def __init__(self, config: ModelConfig) -> None:
        empty = np.empty((0, config.kv_heads, config.head_dim))
        self.keys: list[Array] = [empty] * config.layers
        self.values: list[Array] = [empty] * config.layers

    @property
    def position(self) -> int:
        """Positions held by every layer."""
        return min(map(len, self.keys))

    def append(self, layer: int, k: Array, v: Array) -> None:
        """Add the keys and values (T, K, Dh) of the next positions."""
        self.keys[layer] = np.concatenate([self.keys[layer], k])
        self.values[layer] = np.concatenate([self.values[layer], v])

    def rewind(self, position: int) -> None:
        """Drop everything from `position` on."""
        self.keys = [keys[:position] for keys in self.keys]
        self.values = [values[:position] for values in self.values]


class ReferenceModel:
    """A Llama 3 over float64 tensors with GGUF's names; without output.weight the embedding is the output matrix.

    Any matrix of a layer may have a bias.

    Every stage takes a `record`, a dictionary that receives its intermediate results under the names token_embd,
    blk.N.{attn_norm, q, k, v, q_rope, k_rope, scores, probabilities, values, attn_output, attn_residual, ffn_norm,
    gate, up, swiglu, down, ffn_residual}, output_norm and output.
    """

    def __init__(self, config: ModelConfig, tensors: Mapping[str, Array]) -> None:
        self.config = config
        self.tensors = tensors
        self.frequencies = rope_frequencies(config.head_dim, config.rope_theta, config.rope_factors)  # (Dh/2,)

    @property
    def output_name(self) -> str:
        """Name of the output matrix (V, D)."""
        return "output.weight" if "output.weight" in self.tensors else "token_embd.weight"

    def cache(self) -> Cache:
        """Return the empty cache of a new sequence."""
        return Cache(self.config)

    def embed(self, ids: Sequence[int], record: Record | None = None) -> Array:
        """Return the residual stream (T, D) before the first layer."""
        x = self.tensors["token_embd.weight"][list(ids)]  # (T, D)
        return _keep(record, "token_embd", x)

    def rotate(self, x: Array, positions: npt.NDArray[np.int64]) -> Array:
        """Return queries or keys (T, heads, Dh) rotated by their positions (T,)."""
        return rope(x, positions, self.frequencies, self.config.rope_style) * self.config.rope_magnitude

    def layer(self, layer: int, x: Array, cache: Cache, record: Record | None = None) -> Array:
        """Return the residual stream (T, D) after a layer; x (T, D) holds the positions that follow the cache's."""
        c = self.config
        held, tokens = len(cache.keys[layer]), len(x)
        positions = np.arange(held, held + tokens)  # (T,)

        def weight(name: str) -> Array:
            return self.tensors[f"blk.{layer}.{name}.weight"]

        def product(name: str, x: Array) -> Array:
            y = x @ weight(name).T  # (T, rows)
            bias = self.tensors.get(f"blk.{layer}.{name}.bias")  # (rows,)
            return y if bias is None else y + bias

        def keep(name: str, value: Array) -> Array:
            return _keep(record, f"blk.{layer}.{name}", value)

        normed = keep("attn_norm", rms_norm(x, weight("attn_norm"), c.norm_eps))  # (T, D)
        q = keep("q", product("attn_q", normed).reshape(tokens, c.heads, c.head_dim))  # (T, H, Dh)
        k = keep("k", product("attn_k", normed).reshape(tokens, c.kv_heads, c.head_dim))  # (T, K, Dh)
        v = keep("v", product("attn_v", normed).reshape(tokens, c.kv_heads, c.head_dim))  # (T, K, Dh)
        q = keep("q_rope", self.rotate(q, positions))  # (T, H, Dh)
        k = keep("k_rope", self.rotate(k, positions))  # (T, K, Dh)
        cache.append(layer, k, v)
        scores = keep("scores", attention_scores(q, cache.keys[layer], positions))  # (T, H, P)
        probabilities = keep("probabilities", softmax(scores))  # (T, H, P)
        values = keep("values", attention_values(probabilities, cache.values[layer]))  # (T, H, Dh)
        attended = keep("attn_output", product("attn_output", values.reshape(tokens, -1)))  # (T, D)
        x = keep("attn_residual", x + attended)  # (T, D)

        normed = keep("ffn_norm", rms_norm(x, weight("ffn_norm"), c.norm_eps))  # (T, D)
        gate = keep("gate", product("ffn_gate", normed))  # (T, F)
        up = keep("up", product("ffn_up", normed))  # (T, F)
        hidden = keep("swiglu", swiglu(gate, up))  # (T, F)
        down = keep("down", product("ffn_down", hidden))  # (T, D)
        return keep("ffn_residual", x + down)  # (T, D)

    def head(self, x: Array, record: Record | None = None) -> Array:
        """Return the logits (T, V) of the residual stream (T, D) after the last layer."""
        normed = rms_norm(x, self.tensors["output_norm.weight"], self.config.norm_eps)  # (T, D)
        _keep(record, "output_norm", normed)
        return _keep(record, "output", normed @ self.tensors[self.output_name].T)  # (T, V)

    def forward(self, ids: Sequence[int], cache: Cache, record: Record | None = None) -> Array:
        """Return the logits (T, V) of the next ids of a sequence."""
        x = self.embed(ids, record)  # (T, D)
        for layer in range(self.config.layers):
            x = self.layer(layer, x, cache, record)  # (T, D)
        return self.head(x, record)  # (T, V)


def _keep(record: Record | None, name: str, value: Array) -> Array:
    if record is not None:
        record[name] = value
    return value
