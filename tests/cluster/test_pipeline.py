"""A model in parts: the same bits as in one process, whatever the parts, the cuts and the neighbours.

The witness is the model in one process. Most tests play Ray by calls in this process; the last ones run it.
To add a case: a model in `MODELS`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pexpect
import pytest
from clusters import need_ray, processes_of
from gguf import GGMLQuantizationType
from paths import ROOT
from tiny_models import random_tensors, tiny_config, write_gguf

from pyllama3 import Llama
from pyllama3.cluster.orders import Order, Report, make_order
from pyllama3.cluster.part import Part
from pyllama3.cluster.pipeline import load_pipeline
from pyllama3.errors import BackendError, ClusterError, OptionError
from pyllama3.generation.prompt_cache import save_prompt
from pyllama3.weights import Tensor, TensorType, Weights, load_weights
from pyllama3.weights.parts import part_bytes, split_layers, take_part

LAYERS = 5
MODELS = {
    "tied": (GGMLQuantizationType.F32, True),
    "untied": (GGMLQuantizationType.Q8_0, False),
    "tied and quantized": (GGMLQuantizationType.Q4_0, True),
}


class RayError(Exception):
    pass


class Method:
    def __init__(self, call: Callable[..., Any]) -> None:
        self.remote = call


class PlayedActor:
    def __init__(self, part: Part) -> None:
        self._part = part

    def __getattr__(self, name: str) -> Method:
        return Method(getattr(self._part, name))


class PlayedRay:
    """Actors are objects of this process, and calls are done at once."""

    exceptions = type("exceptions", (), {"RayError": RayError})

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.is_dead = False

    def remote(self, *arguments: Any) -> Any:
        if isinstance(arguments[0], type):
            return self
        self.parts.append(Part(*arguments))
        return PlayedActor(self.parts[-1])

    def options(self, **_: Any) -> PlayedRay:
        return self

    def get(self, promises: list[Any]) -> list[Any]:
        if self.is_dead:
            raise RayError("it\n  is gone\n")
        return promises


@pytest.fixture(scope="module", params=MODELS)
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    type, tied = MODELS[request.param]
    path = tmp_path_factory.mktemp("model") / "m.gguf"
    config = tiny_config(layers=LAYERS)
    write_gguf(path, config, random_tensors(config, 3, tied=tied), type)
    return path


def order_of(path: Path, **changes: Any) -> Order:
    options = {"backend": None, "threads": 2, "precision": "default", "cache_type": None, "context": None, "lora": []}
    return make_order(str(path), parallel=3, defaults={}, options={**options, "chat_template": None, **changes})


def spread(path: Path, count: int, ray: PlayedRay | None = None, **changes: Any) -> Llama:
    return load_pipeline(ray or PlayedRay(), order_of(path, **changes), count, processors=1)


@pytest.mark.parametrize("count", [1, 2, 3, LAYERS])
def test_logits_have_the_same_bits(path: Path, count: int) -> None:
    ids = list(range(3, 33))
    with Llama.load(path) as alone, spread(path, count) as llm, alone.session() as whole, llm.session() as session:
        for cut in (slice(0, 1), slice(1, 20), slice(20, 30)):
            expected = whole.feed(ids[cut], all_logits=True)
            np.testing.assert_array_equal(session.feed(ids[cut], all_logits=True), expected)
        session.rewind(4)
        whole.rewind(4)
        np.testing.assert_array_equal(session.feed([9]), whole.feed([9]))


@pytest.mark.parametrize("options", [{"precision": "exact"}, {"precision": "fast"}, {"cache_type": "int8"}], ids=str)
def test_options_reach_the_parts(path: Path, options: dict[str, Any]) -> None:
    with Llama.load(path, **options) as alone, spread(path, 2, **options) as llm:
        expected = alone.session().feed([1, 2, 3])
        np.testing.assert_array_equal(llm.session().feed([1, 2, 3]), expected)


def test_several_texts_at_a_time(path: Path) -> None:
    prompts = [[5, 6, 7, 8], [5, 6, 7, 9], [40], [5, 6, 7, 8, 1], list(range(1, 30))]

    def answers(llm: Llama) -> list[list[int]]:
        scheduler = llm.scheduler(3)
        texts = [llm.generation(prompt, max_tokens=9, seed=n) for n, prompt in enumerate(prompts)]
        found: dict[Any, list[int]] = {text: [] for text in texts}
        waiting = list(texts)
        while waiting or scheduler.running:
            while waiting and scheduler.free:
                scheduler.add(waiting.pop(0))
            for text, piece in scheduler.step():
                assert not isinstance(piece, Exception)
                found[text].append(piece.id)
        return list(found.values())

    with Llama.load(path) as alone, spread(path, 3) as llm:
        assert answers(llm) == answers(alone)


def test_parts_have_their_own_tensors_only(path: Path) -> None:
    ray = PlayedRay()
    said: list[str] = []
    load_pipeline(ray, order_of(path), 3, processors=1, say=said.append)
    weights = load_weights(path)
    layers = split_layers(weights, 3)
    names = [set(take_part(weights, part).tensors) for part in layers]
    tied = "output.weight" not in weights.tensors
    assert sum(map(len, names)) == len(weights.tensors) + tied
    assert "token_embd.weight" in names[0]
    assert {"output.weight", "output_norm.weight"} <= names[2]
    assert all(set(take_part(weights, part).tensors) < set(weights.tensors) | {"output.weight"} for part in layers)
    assert [text.partition(" MB")[0] for text in said] == [
        f"part {n}: {'layers' if len(part) > 1 else 'layer'} "
        f"{f'{part.start} to {part.stop - 1}' if len(part) > 1 else part.start}, "
        f"{part_bytes(take_part(weights, part)) / 1e6:.0f}"
        for n, part in enumerate(layers, 1)
    ]


def test_parts_are_even() -> None:
    def tensor(name: str, size: int) -> Tensor:
        return Tensor(name, TensorType.F32, (size // 4,), (np.zeros(size, np.uint8),))

    layers = {name: tensor(name, 40) for name in (f"blk.{n}.attn_q.weight" for n in range(24))}
    embedding = tensor("token_embd.weight", 320)  # as large as eight layers, and the head, too
    tensors = {embedding.name: embedding, **layers, "output_norm.weight": tensor("output_norm.weight", 4)}
    weights = Weights(Path("m"), tiny_config(layers=24), tensors, load_vocabulary=lambda: None)  # type: ignore[arg-type]
    assert [[len(part) for part in split_layers(weights, count)] for count in (1, 2, 4)] == [
        [24],
        [16, 8],
        [8, 8, 7, 1],
    ]
    assert [part_bytes(take_part(weights, part)) for part in split_layers(weights, 2)] == [640, 644]
    assert [part.start for part in split_layers(weights, 24)] == list(range(24))
    for count in (0, 25):
        with pytest.raises(
            OptionError, match=rf"^a pipeline of {count} does not work for 24 layers; allowed: 1 to 24$"
        ):
            split_layers(weights, count)


def test_what_needs_the_weights_here_is_refused(path: Path, tmp_path: Path) -> None:
    with spread(path, 2) as llm, llm.session() as session:
        with pytest.raises(OptionError, match=r"^the weights of this model are in other processes"):
            llm.embed("a")
        with pytest.raises(OptionError, match=r"^the weights of this model are in other processes"):
            llm.trace([1])
        session.feed([1, 2])
        with pytest.raises(OptionError, match=r"^the caches of a pipeline are on other machines"):
            save_prompt(tmp_path / "cache", session, 2)


def test_a_part_that_dies(path: Path) -> None:
    ray = PlayedRay()
    llm = spread(path, 2, ray)
    session = llm.session()
    session.feed([1])
    ray.is_dead = True
    with pytest.raises(ClusterError, match=r"^a part of the pipeline has died, and with it the model: is gone$"):
        session.feed([2])


def test_a_machine_without_the_model(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Part, "report", lambda self: Report(machine="m7", error="m.gguf: not on this machine"))
    with pytest.raises(ClusterError, match=r"^m7: m\.gguf: not on this machine$"):
        spread(path, 2)
    monkeypatch.setattr(Part, "report", lambda self: Report(machine="m7", version="0.0"))
    with pytest.raises(ClusterError, match=r"^m7: pyllama3 0\.0 is there, "):
        spread(path, 2)


def test_memory_that_a_machine_does_not_have(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    llm = spread(path, 2)

    def refuse(*_: Any, **__: Any) -> None:
        raise BackendError("no memory for 4 GB")

    monkeypatch.setattr("pyllama3.cluster.part.State", refuse)
    with pytest.raises(BackendError, match=r"^no memory for 4 GB$"):
        llm.session()


# With Ray itself

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_ADDRESS": ""}


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "pyllama3", *map(str, arguments)]
    return subprocess.run(words, env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def test_run_over_a_pipeline(path: Path) -> None:
    need_ray()
    options = ("run", "--raw", "-q", "-m", path, "-t", "1", "-n", "20", "--seed", "3", "hello world")
    result = command(*options, "--ray", "local", "--pipeline", "3")
    assert (result.returncode, result.stdout) == (0, command(*options).stdout)
    assert [line.partition(",")[0] for line in result.stderr.splitlines()[:3]] == [
        f"pyllama3: part {n}: {'layers' if len(part) > 1 else 'layer'} {part.start}"
        + (f" to {part.stop - 1}" if len(part) > 1 else "")
        for n, part in enumerate(split_layers(load_weights(path), 3), 1)
    ]


def test_a_batch_whose_part_is_killed_goes_on_later(tmp_path: Path) -> None:
    need_ray()
    config = tiny_config(layers=2, context=4096)
    write_gguf(tmp_path / "m.gguf", config, random_tensors(config, 3), GGMLQuantizationType.F32)
    body = {"prompt": [1], "max_tokens": 300, "logit_bias": {str(id): -100 for id in range(269, 288)}}
    lines = [{"custom_id": f"r{n}", "url": "/v1/completions", "body": {**body, "seed": n}} for n in range(40)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    arguments = ["batch", "-m", "m.gguf", "-t", "1", "in.jsonl", "out.jsonl", "--parallel", "4"]
    options: Any = {"env": ENVIRONMENT, "cwd": str(tmp_path), "timeout": 300}
    spread = ["--ray", "local", "--pipeline", "2"]
    child = pexpect.spawn(sys.executable, ["-m", "pyllama3", *arguments, *spread], encoding="utf-8", **options)
    child.expect(r" [1-9]\d*/40")
    os.kill(next(iter(parts_of(child.pid))), signal.SIGKILL)
    child.expect("pyllama3: a part of the pipeline has died, and with it the model: ")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 1
    assert processes_of(child.pid) == set()
    done = (tmp_path / "out.jsonl").read_text().splitlines()
    assert 0 < len(done) < 40
    assert all(json.loads(line)["response"]["status_code"] == 200 for line in done)
    result = subprocess.run(
        [sys.executable, "-m", "pyllama3", *arguments], capture_output=True, text=True, **cut(options)
    )
    assert result.stderr.endswith(f"40 requests: {40 - len(done)} answered, 0 refused, {len(done)} were done before\n")


def cut(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != "timeout"}


def parts_of(ancestor: int) -> Iterator[int]:
    """Processes of a session of a terminal that have a part of a model."""
    for pid in processes_of(ancestor):
        if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ray::Part"):
            yield pid


def test_wrong_options(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.touch()
    for arguments, told in (
        (("run", "--ray", "local", "hello"), "--ray needs --pipeline N, or the command batch."),
        (("batch", source, source, "--ray", "local", "--pipeline", "2", "--actors", "2"), "exclude each other"),
    ):
        result = command(*arguments)
        assert (result.returncode, result.stdout) == (2, "")
        assert told in result.stderr
