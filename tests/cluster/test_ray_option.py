"""`pyllama3 batch --ray` as a user sees it: a cluster of its own, Ctrl-C, and what is wrong with an address."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pexpect
import pytest
from clusters import need_ray, processes_of
from paths import ROOT
from test_batch_over_ray import CONTEXT, write_requests
from tiny_models import write_tiny

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_ADDRESS": ""}


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    need_ray()
    model = write_tiny(tmp_path / "m.gguf", context=CONTEXT, layers=2)
    write_requests(tmp_path / "in.jsonl", 2000, 300)
    arguments = ["-m", "pyllama3", "batch", "-m", str(model), "-t", "1", "in.jsonl", "out.jsonl"]
    arguments += ["--ray", "local", "--actors", "2"]
    options: Any = {"env": ENVIRONMENT, "cwd": str(tmp_path), "timeout": 300}
    child = pexpect.spawn(sys.executable, arguments, encoding="utf-8", **options)
    child.expect(r" [1-9]\d*/2000")
    assert len(processes_of(child.pid)) > 3
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    assert "Traceback" not in child.before
    assert processes_of(child.pid) == set()


def run(tmp_path: Path, *options: str, code: str = "") -> tuple[int, str]:
    (tmp_path / "in.jsonl").touch()
    start = ["-c", f"{code}; from pyllama3.__main__ import main; main()"] if code else ["-m", "pyllama3"]
    command = [sys.executable, *start, "batch", "in.jsonl", "out.jsonl", *options]
    result = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True)
    assert result.stdout == ""
    return result.returncode, result.stderr


def test_without_ray(tmp_path: Path) -> None:
    code, errors = run(tmp_path, "--ray", "local", code="import sys; sys.modules['ray'] = None")
    assert (code, errors) == (1, "pyllama3: --ray needs ray; install it with: pip install 'pyllama3[ray]'\n")


def test_addresses_that_are_none(tmp_path: Path) -> None:
    assert run(tmp_path, "--ray", "here") == (
        1,
        "pyllama3: --ray is 'here'; allowed: auto, local, ray://HOST:PORT\n",
    )
    code, errors = run(tmp_path, "--ray", "ray://127.0.0.1:9")
    assert (code, errors.count("\n")) == (1, 1)
    assert errors.startswith("pyllama3: ray://127.0.0.1:9: nobody listens there (")
    code, errors = run(tmp_path, "--actors", "2")
    assert (code, errors.splitlines()[-1]) == (2, "Error: --actors is for clusters: it needs --ray.")


def test_no_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_ray()
    monkeypatch.setitem(ENVIRONMENT, "RAY_ADDRESS", "127.0.0.1:9")  # not one that another test has begun
    code, errors = run(tmp_path, "--ray", "auto")
    assert (code, errors.count("\n")) == (1, 1)
    assert errors.startswith("pyllama3: 127.0.0.1:9: nobody listens there (")
