"""Ray clusters of several node processes on this machine, small and silent, and the actors that run in them."""

from __future__ import annotations

import importlib.util
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from paths import ROOT

_ARGUMENTS = {"object_store_memory": 80 << 20, "include_dashboard": False}


def need_ray() -> None:
    """Skip a test where Ray is missing, without importing it: that is for whoever has set its variables."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("needs ray: pip install -e '.[ray]'")


@contextmanager
def ray_cluster(nodes: int, cpus: int = 1) -> Iterator[Any]:
    """Yield a cluster of a head without processors and so many nodes; the test is skipped without Ray."""
    need_ray()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # a token of its own, read when Ray is imported: so it neither takes nor makes one in the home directory
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    os.environ["PYTHONPATH"] = str(ROOT)
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **_ARGUMENTS})
    try:
        for _ in range(nodes):
            cluster.add_node(num_cpus=cpus, object_store_memory=80 << 20)
        yield cluster
    finally:
        cluster.shutdown()


def actors(cluster: Any) -> list[int]:
    """Return the processes of the actors in a cluster."""
    raylets = {info.process.pid for node in cluster.list_all_nodes() for info in node.all_processes.get("raylet", ())}
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(") ")[2].split()[1])
            name = (folder / "cmdline").read_bytes()
        except (OSError, ProcessLookupError):
            continue
        if parent in raylets and name.startswith(b"ray::Actor"):
            found.append(int(folder.name))
    return found


def processes_of(ancestor: int) -> set[int]:
    """Return the processes that a session of a terminal has begun; Ray's stay in it."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int((folder / "stat").read_text().rpartition(") ")[2].split()[3]) == ancestor:
                found.add(int(folder.name))
        except (OSError, ProcessLookupError):
            continue
    return found
