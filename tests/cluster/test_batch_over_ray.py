"""Batches on a cluster of several node processes: whatever dies, each request has the answer of a single process.

`PYLLAMA3_RAY_REQUESTS=200 pytest tests/cluster` asks more.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clusters import actors, ray_cluster
from paths import ROOT
from tiny_models import write_tiny

from pyllama3 import Llama
from pyllama3.server.batch import run_batch

REQUESTS = int(os.environ.get("PYLLAMA3_RAY_REQUESTS", "40"))
CONTEXT = 4096


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with ray_cluster(nodes=3) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("model") / "m.gguf", context=CONTEXT, layers=2)


def write_requests(path: Path, count: int, max_tokens: int) -> Path:
    with path.open("w") as file:
        for n in range(count):
            body = {"prompt": [1 + n % 250, *range(2, 2 + 3 * n % 70)], "seed": n, "temperature": 1}
            # no special token may end a text early
            body |= {"max_tokens": max_tokens, "logit_bias": {str(id): -100 for id in range(269, 288)}}
            file.write(json.dumps({"custom_id": f"r{n}", "url": "/v1/completions", "body": body}) + "\n")
    return path


def texts(path: Path) -> dict[str, str]:
    """The texts of answers, none of which comes twice."""
    answers = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    found = {answer["custom_id"]: answer["response"]["body"]["choices"][0]["text"] for answer in answers}
    assert len(found) == len(answers)
    return found


def batch(cluster: Any, model: Path, source: Path, target: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pyllama3", "batch", "-m", str(model), str(source), str(target)]
    command += ["--ray", "auto", "--parallel", "4", "-t", "1", *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_ADDRESS": cluster.address}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def answered(target: Path) -> int:
    return target.read_bytes().count(b"\n") if target.exists() else 0


def await_answers(process: subprocess.Popen[str], target: Path, count: int) -> None:
    while process.poll() is None and answered(target) < count:
        time.sleep(0.01)


def finish(process: subprocess.Popen[str], source: Path, counts: str) -> None:
    """Check that a command succeeds, and that Ray writes nothing."""
    output, errors = process.communicate()
    assert (process.returncode, output, errors) == (0, "", f"answering {source}\n{counts}\n")


def test_actors_that_are_killed_all_the_time(cluster: Any, model: Path, tmp_path: Path) -> None:
    source, target = write_requests(tmp_path / "in.jsonl", REQUESTS, 200), tmp_path / "out.jsonl"
    process = batch(cluster, model, source, target)
    rng, killed = random.Random(1), 0
    for wanted in range(REQUESTS // 8, REQUESTS - REQUESTS // 4, REQUESTS // 8):
        await_answers(process, target, wanted)
        if living := actors(cluster):
            os.kill(rng.choice(living), signal.SIGKILL)
            killed += 1
    finish(process, source, f"{REQUESTS} requests: {REQUESTS} answered, 0 refused, 0 were done before")
    assert killed >= 3
    with Llama.load(model) as llm:
        run_batch(llm, source, tmp_path / "alone.jsonl")
    assert texts(target) == texts(tmp_path / "alone.jsonl")


def test_a_driver_that_is_killed_and_a_machine_that_goes(cluster: Any, model: Path, tmp_path: Path) -> None:
    source, target = write_requests(tmp_path / "in.jsonl", REQUESTS, 200), tmp_path / "out.jsonl"
    process = batch(cluster, model, source, target)
    await_answers(process, target, REQUESTS // 4)
    process.kill()
    process.communicate()
    done = answered(target)
    assert REQUESTS // 4 <= done < REQUESTS
    node = cluster.add_node(num_cpus=1, object_store_memory=80 << 20)
    process = batch(cluster, model, source, target, "--actors", "4")
    await_answers(process, target, done + REQUESTS // 4)
    cluster.remove_node(node, allow_graceful=False)
    finish(process, source, f"{REQUESTS} requests: {REQUESTS - done} answered, 0 refused, {done} were done before")
    with Llama.load(model) as llm:
        run_batch(llm, source, tmp_path / "alone.jsonl")
    assert texts(target) == texts(tmp_path / "alone.jsonl")


def test_what_is_wrong_is_told_in_a_line(cluster: Any, tmp_path: Path) -> None:
    source, target = write_requests(tmp_path / "in.jsonl", 1, 1), tmp_path / "out.jsonl"
    process = batch(cluster, tmp_path / "none.gguf", source, target)
    output, errors = process.communicate()
    assert (process.returncode, output) == (1, "")
    assert errors.startswith(f"answering {source}\npyllama3: ")
    assert errors.endswith(f": {tmp_path}/none.gguf: no such file or directory\n")
    assert errors.count("\n") == 2
