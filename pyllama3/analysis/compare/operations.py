"""Inside the stages: each operation of an engine, judged by the reference on the inputs that the engine gave it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...config import RopeStyle
from ...runtime.probe import fill, passes, read, read_head
from ...runtime.state import State, allow_quantizing
from ..metrics import Array, Difference, difference
from ..reference import ReferenceModel, attention_scores, attention_values, rms_norm, silu, softmax, swiglu
from .subjects import ATTENTION, EMBEDDING, FEED_FORWARD, HEAD, EngineSubject, Stage, Trace
from .tolerances import Kind, Tolerance


@dataclass(frozen=True, kw_only=True)
class Operation:
    """An operation of a stage, and how far its result is from that of the reference on the same inputs."""

    stage: Stage
    name: str
    tensor: str | None
    """The weights it uses."""
    difference: Difference
    allowed: float | None
    """Largest NMSE of a row that is within tolerance; None between different models."""

    @property
    def is_out(self) -> bool:
        """Whether it is out of tolerance."""
        return self.allowed is not None and not self.difference.worst_nmse <= self.allowed


@dataclass(frozen=True)
class _Step:
    """What an operation gave for the rows of one pass."""

    stage: Stage
    name: str
    tensor: str | None
    actual: Array
    expected: Array
    kind: Kind = "plain"


def examine_layer(
    subject: EngineSubject,
    judge: ReferenceModel,
    trace: Trace,
    ids: Sequence[int],
    layer: int,
    tolerance: Tolerance | None,
) -> list[Operation]:
    """Feed a layer of a subject with what `trace` has in front of both branches; return its operations in order."""
    probe = _LayerProbe(subject, judge, layer, len(ids))
    parts = []
    for rows in passes(len(ids)):
        fill(probe.state, ids, rows)
        attention = probe.attention(trace.before(layer)[rows.start : rows.stop], rows)
        feed_forward = probe.feed_forward(trace.stages[Stage(ATTENTION, layer)][rows.start : rows.stop])
        parts.append([*attention, *feed_forward])
    return _join(parts, tolerance)


def examine_embedding(
    subject: EngineSubject, judge: ReferenceModel, ids: Sequence[int], tolerance: Tolerance | None
) -> list[Operation]:
    """Return the operation that looks the tokens up."""
    state, rows = subject.new_state(len(ids)), len(ids)
    fill(state, ids, range(rows))
    state.core.embed(rows)
    x = read(state, "RESIDUAL", rows, judge.config.dim)
    return _join([[_Step(EMBEDDING, "embedding", "token_embd.weight", x, judge.embed(ids))]], tolerance)


def examine_head(
    subject: EngineSubject, judge: ReferenceModel, trace: Trace, ids: Sequence[int], tolerance: Tolerance | None
) -> list[Operation]:
    """Feed the head of a subject with what `trace` has in front of it; return its operations in order."""
    state, config = subject.new_state(len(ids)), judge.config
    parts = []
    for rows in passes(len(ids)):
        count = len(rows)
        fill(state, ids, rows)
        x = trace.before(config.layers)[rows.start : rows.stop]
        _write(state, x)
        state.core.head(count)
        normed = read_head(state, "NORMED", count, config.dim)
        logits = read_head(state, "LOGITS", count, config.vocab_size)
        weight = judge.tensors["output_norm.weight"]
        parts.append(
            [
                _Step(HEAD, "norm", "output_norm.weight", normed, rms_norm(x, weight, config.norm_eps)),
                _product(subject, judge, HEAD, "output", judge.output_name, logits, normed),
            ]
        )
    return _join(parts, tolerance)


def _product(
    subject: EngineSubject, judge: ReferenceModel, stage: Stage, name: str, tensor: str, actual: Array, x: Array
) -> _Step:
    """Return the step that multiplies vectors (T, columns) with a matrix.

    Where the engine may have quantized the vectors, which depends on the type of the matrix, each number is expected to
    be the product of either the vectors or what so many bits keep of them, whichever is nearer.
    """
    weight = judge.tensors[tensor]
    expected = x @ weight.T
    bits = subject.model.activation_bits
    if bits < 32:
        rounded = quantized(x, bits) @ weight.T
        expected = np.where(np.abs(actual - rounded) < np.abs(actual - expected), rounded, expected)
    return _Step(stage, name, tensor, actual, expected, "product")


def quantized(x: Array, bits: int = 8, size: int = 32) -> Array:
    """Return vectors (..., columns) whose blocks of a size are rounded to integers of some bits times a scale."""
    if x.shape[-1] % size:
        return x
    blocks = x.reshape(*x.shape[:-1], -1, size)
    step = np.abs(blocks).max(axis=-1, keepdims=True) / (2 ** (bits - 1) - 1)
    step[step == 0] = 1
    result: Array = (np.round(blocks / step) * step).reshape(x.shape)
    return result


def spread(x: Array, size: int = 32) -> Array:
    """Return vectors (..., columns) whose runs of a size, the last may be shorter, are rounded to 255 even steps."""
    result = np.empty_like(x)
    for start in range(0, x.shape[-1], size):
        run = x[..., start : start + size]
        least, most = run.min(axis=-1, keepdims=True), run.max(axis=-1, keepdims=True)
        step = np.where(most > least, (most - least) / 254, 1)
        middle = (least + most) / 2
        result[..., start : start + size] = np.round((run - middle) / step) * step + middle
    return result


def _join(passes: list[list[_Step]], tolerance: Tolerance | None) -> list[Operation]:
    """Return the operations over the rows of all passes."""
    return [
        Operation(
            stage=steps[0].stage,
            name=steps[0].name,
            tensor=steps[0].tensor,
            difference=difference(_stack([step.actual for step in steps]), _stack([step.expected for step in steps])),
            allowed=tolerance.of(steps[0].kind) if tolerance else None,
        )
        for steps in zip(*passes, strict=True)
    ]


def _stack(parts: list[Array]) -> Array:
    """Return the rows of all parts as (rows, columns), shorter ones filled up with zeros."""
    flat = [part.reshape(len(part), -1) for part in parts]
    width = max(part.shape[1] for part in flat)
    return np.concatenate([np.pad(part, ((0, 0), (0, width - part.shape[1]))) for part in flat])


def _write(state: State, x: Array) -> None:
    """Put rows (T, D) into the residual stream."""
    state.buffer("RESIDUAL")[: x.size] = x.ravel()


class _LayerProbe:
    """Runs the branches of a layer on given inputs and collects what each operation did.

    The state's buffers hold the results of most operations after a branch. Those that are overwritten are computed
    again with the same public methods on the same inputs: products of matrices, and the steps of attention.
    """

    def __init__(self, subject: EngineSubject, judge: ReferenceModel, layer: int, length: int) -> None:
        self.state = subject.new_state(length)
        self._subject = subject
        self._judge = judge
        self._layer = layer
        config = judge.config
        self._first_key = np.zeros((0, 0))
        self._keys = np.empty((0, config.kv_heads, config.head_dim))
        self._values = self._keys

    def attention(self, x: Array, rows: range) -> Iterator[_Step]:
        """Run the attention branch on the residual stream (T, D) of the next rows."""
        c, judge, count = self._judge.config, self._judge, len(rows)
        positions = np.array(rows)
        _write(self.state, x)
        self.state.core.prepare(count)
        self.state.core.attention_branch(self._layer, count)
        normed = self._read("NORMED", count, c.dim)
        query = self._read("QUERY", count, c.heads, c.head_dim)
        key = self._read("KEY", count, c.kv_heads, c.head_dim)
        value = self._read("VALUE", count, c.kv_heads, c.head_dim)
        attention = self._read("ATTENTION", count, c.heads, c.head_dim)
        update = self._read("UPDATE", count, c.dim)
        residual = self._read("RESIDUAL", count, c.dim)
        self._keys = np.concatenate([self._keys, self._cached(key, positions)])
        self._values = np.concatenate([self._values, self._cached(value)])

        yield self._step(ATTENTION, "norm", "attn_norm", normed, self._norm(x, "attn_norm"))
        q, k = self._multiply("attn_q", normed), self._multiply("attn_k", normed)
        if not (self._rotates_to(q, query) and self._rotates_to(k, key)):
            q, k = self._unrotated(x)
        yield self._product(ATTENTION, "q", "attn_q", q, normed)
        yield self._product(ATTENTION, "k", "attn_k", k, normed)
        yield self._product(ATTENTION, "v", "attn_v", value.reshape(count, -1), normed)
        rotated = [judge.rotate(flat.reshape(count, -1, c.head_dim), positions) for flat in (q, k)]
        yield self._step(ATTENTION, "rope", None, np.concatenate([query, key], axis=1), np.concatenate(rotated, axis=1))
        scores, probabilities = self._attend(query, rows)
        expected = attention_scores(query, self._keys, positions)  # (T, H, P)
        future = np.isneginf(expected)
        visible, expected = np.where(future, 0, scores), np.where(future, 0, expected)
        yield self._step(ATTENTION, "scores", None, visible, expected, "cached")
        yield self._step(ATTENTION, "mask", None, (probabilities != 0).astype(float), (~future).astype(float))
        yield self._step(ATTENTION, "softmax", None, probabilities, softmax(np.where(future, -np.inf, scores)))
        yield self._step(ATTENTION, "values", None, attention, attention_values(probabilities, self._values), "cached")
        flat = attention.reshape(count, -1)
        yield self._product(ATTENTION, "output projection", "attn_output", update, flat)
        yield self._step(ATTENTION, "residual", None, residual, x + update)

    def feed_forward(self, x: Array) -> Iterator[_Step]:
        """Run the feed-forward branch on the residual stream (T, D) of some rows."""
        c, count = self._judge.config, len(x)
        _write(self.state, x)
        self.state.core.feed_forward_branch(self._layer, count)
        normed = self._read("NORMED", count, c.dim)
        up = self._read("UP", count, c.hidden_dim)
        hidden = self._read("GATE", count, c.hidden_dim)
        update = self._read("UPDATE", count, c.dim)
        residual = self._read("RESIDUAL", count, c.dim)

        yield self._step(FEED_FORWARD, "norm", "ffn_norm", normed, self._norm(x, "ffn_norm"))
        gate = self._multiply("ffn_gate", normed)
        step = self._product(FEED_FORWARD, "gate", "ffn_gate", gate, normed)
        if not self._gates_to(gate, up, hidden):  # the branch computes another gate, of which silu is left
            step = replace(step, actual=hidden / up, expected=silu(step.expected))
        yield step
        yield self._product(FEED_FORWARD, "up", "ffn_up", up, normed)
        yield self._step(FEED_FORWARD, "swiglu", None, hidden, swiglu(gate, up))
        yield self._product(FEED_FORWARD, "down", "ffn_down", update, hidden)
        yield self._step(FEED_FORWARD, "residual", None, residual, x + update)

    def _step(
        self, stage: str, name: str, tensor: str | None, actual: Array, expected: Array, kind: Kind = "plain"
    ) -> _Step:
        return _Step(Stage(stage, self._layer), name, tensor and self._name(tensor), actual, expected, kind)

    def _read(self, buffer: str, rows: int, *shape: int) -> Array:
        return read(self.state, buffer, rows, *shape)

    def _name(self, tensor: str) -> str:
        return f"blk.{self._layer}.{tensor}.weight"

    def _cached(self, x: Array, positions: Array | None = None) -> Array:
        """Return what the cache keeps of keys (T, K, Dh) at some positions, or of values."""
        cache_type = self._subject.model.cache_type
        if cache_type == "f16":
            return x.astype(np.float16).astype(np.float64)
        if cache_type == "int8" and positions is not None:
            return self._cached_keys(x, positions)
        return spread(x) if cache_type == "int8" else x

    def _cached_keys(self, keys: Array, positions: Array) -> Array:
        """Return what an 8-bit cache keeps of keys: how they differ from that of the first position of 16."""
        kept = []
        for position, key in zip(positions, keys, strict=True):
            if position % 16 == 0:
                self._first_key = key.astype(np.float16).astype(np.float64)
            kept.append(spread(key - self._first_key) + self._first_key)
        return np.stack(kept)

    def _norm(self, x: Array, tensor: str) -> Array:
        """Return what the reference makes of the residual stream."""
        return rms_norm(x, self._judge.tensors[self._name(tensor)], self._judge.config.norm_eps)

    def _product(self, stage: str, name: str, tensor: str, actual: Array, x: Array) -> _Step:
        return _product(self._subject, self._judge, Stage(stage, self._layer), name, self._name(tensor), actual, x)

    def _multiply(self, tensor: str, x: Array) -> Array:
        """Return the engine's product (T, rows) of vectors (T, columns) with a matrix."""
        model = self._subject.model
        engine, (count, cols) = model.engine, x.shape
        rows = self._subject.weights.tensors[self._name(tensor)].shape[0]
        activations = engine.Activations()
        allow_quantizing(model, activations, x.size)
        activations.set(self._copy(x), cols)
        activations.quantize(0, count)
        y = engine.empty("float32", count * rows)
        model.core.get_tensor(engine.TensorId[tensor.upper()], self._layer).mat_mul(y, activations, count)
        return engine.numpy(y, "float32").reshape(count, rows).astype(np.float64)

    def _rotates_to(self, x: Array, rotated: Array) -> bool:
        """Tell whether the branch got `rotated` (T, heads, Dh) by the engine's rotation of products (T, heads * Dh).

        If so, the products are what the branch has computed, although it has overwritten them.
        """
        kernels, config = self._subject.model.engine.Kernels, self._judge.config
        interleaved = config.rope_style == RopeStyle.INTERLEAVED
        rotate = kernels.rope_interleaved if interleaved else kernels.rope_half_split
        half, (rows, heads, width) = config.head_dim // 2, rotated.shape
        array = self._copy(x)
        angles = [self._copy(self._read(name, rows, half)) for name in ("COSINES", "SINES")]
        for row in range(rows):
            for head in range(heads):
                rotate(array, (row * heads + head) * width, *angles, row * half, half)
        return self._equal(array, rotated)

    def _unrotated(self, x: Array) -> tuple[Array, Array]:
        """Return the queries and keys (T, heads * Dh) of the branch, by a run that rotates by nothing."""
        c, count, core = self._judge.config, len(x), self.state.core
        self.state.buffer("COSINES")[:] = 1
        self.state.buffer("SINES")[:] = 0
        _write(self.state, x)
        core.attention_branch(self._layer, count)
        found = self._read("QUERY", count, c.heads * c.head_dim), self._read("KEY", count, c.kv_dim)
        core.prepare(count)  # the cache is to hold the rotated keys
        _write(self.state, x)
        core.attention_branch(self._layer, count)
        return found

    def _gates_to(self, gate: Array, up: Array, hidden: Array) -> bool:
        """Tell whether the branch got `hidden` (T, F) by the engine's gating of these products (T, F)."""
        array = self._copy(gate)
        self._subject.model.engine.Kernels.swi_glu(array, self._copy(up), 0, gate.size)
        return self._equal(array, hidden)

    def _equal(self, array: Any, values: Array) -> bool:
        """Tell whether an array of the engine holds some numbers, but for their last digits."""
        found = self._subject.model.engine.numpy(array, "float32").reshape(values.shape)
        return bool(np.allclose(found, values, rtol=1e-5, atol=1e-5 * np.abs(values).max()))

    def _copy(self, x: Array, dtype: str = "float32") -> Any:
        """Return an array of the engine with the numbers of another one."""
        engine = self._subject.model.engine
        array = engine.empty(dtype, x.size)
        engine.numpy(array, dtype)[:] = x.ravel()
        return array

    def _attend(self, query: Array, rows: range) -> tuple[Array, Array]:
        """Return the engine's scores and probabilities (T, H, P) of rotated queries, from the keys in its cache."""
        engine, cache = self._subject.model.engine, self.state.core.get_cache()
        config = self._judge.config
        group = config.heads // config.kv_heads
        length = len(self._keys)
        queries, positions = self._copy(query), self._copy(np.array(rows), "int32")
        scratch = engine.empty("float32", cache.get_scratch_length())
        cache.set_work(scratch, queries, positions, scratch)
        numbers = engine.numpy(scratch, "float32")
        stride = cache.get_scores_stride()
        scores = np.zeros((len(rows), config.heads, length))
        probabilities = np.zeros_like(scores)
        for start in range(0, len(rows), cache.get_block_rows()):
            end = min(len(rows), start + cache.get_block_rows())
            offset, count, visible = cache.get_scores_offset(end - start), (end - start) * group, rows[end - 1] + 1
            view = numbers[offset : offset + count * stride].reshape(end - start, group, stride)[..., :visible]
            for head in range(config.kv_heads):
                heads = np.s_[start:end, head * group : (head + 1) * group, :visible]
                cache.score(start, end, self._layer, 0, head, 0)
                scores[heads] = view
                cache.softmax_rows(start, end, 0)
                probabilities[heads] = view
        return scores, probabilities
