"""A Ray cluster: found or begun, kept silent, and left."""

from __future__ import annotations

import logging
import math
import os
import re
import socket
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..cpu import choose_threads
from ..errors import ClusterError, OptionError

AUTO = "auto"
"""Address of the cluster that this machine belongs to, or of that which $RAY_ADDRESS names."""
LOCAL = "local"
"""Address of a cluster on this machine that is begun, and ends with the command."""
_OBJECT_STORE_BYTES = 80 << 20
"""Of a local cluster: what is sent is small. Ray takes no less."""
_PATIENCE = 10.0
"""Seconds for the head of a cluster to take a call."""
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
"""What keeps Ray from telling its makers and the terminal what it does, unless somebody wants that."""


@dataclass(frozen=True)
class Share:
    """How many actors there are, and what each has of its machine."""

    actors: int
    processors: int
    """That it asks Ray for."""
    threads: int | None
    """That compute; None leaves it to the machine, which the actor has for itself."""


@contextmanager
def connect(address: str, *, actors: int | None, threads: int | None) -> Iterator[tuple[Any, Share]]:
    """Yield the module `ray`, connected to a cluster, and how its machines are shared.

    By default each machine has one actor with as many threads as there are physical cores.

    Raises:
        ClusterError: there is no cluster, or it does not take us.
        OptionError: Ray is not installed, the address is none, or the number of threads is out of range.
    """
    _check(address)
    here = share([choose_threads(threads)], actors, threads)
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ModuleNotFoundError:
        raise OptionError("--ray needs ray; install it with: pip install 'pyllama3[ray]'") from None
    options: dict[str, Any] = {}
    if address == LOCAL:
        options = {
            "num_cpus": here.actors * here.processors,
            "object_store_memory": _OBJECT_STORE_BYTES,
            "include_dashboard": False,
        }
    try:
        with warnings.catch_warnings(), _unheard():
            warnings.simplefilter("ignore")
            ray.init(address, log_to_driver=False, logging_level=logging.CRITICAL, **options)
    except ConnectionError as error:
        token = "one that runs answers only who has its token, if RAY_AUTH_MODE is token there"
        hint = "begin one with: ray start --head" if address == AUTO else last_line(error)
        raise ClusterError(f"{address}: no Ray cluster can be reached; {hint}; {token}") from error
    except Exception as error:  # Ray's own, grpc's and Python's
        raise ClusterError(f"{address}: Ray did not begin ({last_line(error)})") from error
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    # Ray has no option for this one: a paragraph on stdout for each worker that dies
    ray._private.worker.print_to_stdstream = lambda *_, **__: None
    try:
        yield ray, here if address == LOCAL else share(_machines(ray, address), actors, threads)
    finally:
        ray.shutdown()


@contextmanager
def _unheard() -> Iterator[None]:
    """Keep away what Ray's C++ code writes to standard error; what Python writes there goes on."""
    usual, saved = sys.stderr, os.dup(2)
    with open(os.devnull, "wb") as nowhere, os.fdopen(saved, "w", encoding=usual.encoding, errors=usual.errors) as here:
        sys.stderr = here
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            here.flush()
            os.dup2(saved, 2)
            sys.stderr = usual


def _check(address: str) -> None:
    """Check that somebody listens at an address, as Ray itself takes half a minute to find out, or for ever."""
    named = os.environ.get("RAY_ADDRESS", "") if address == AUTO else address
    match = re.fullmatch(r"(?:ray://)?([^/]+):(\d{1,5})", named)
    if match is None and address in (AUTO, LOCAL):
        return
    if match is None or (address != AUTO and not address.startswith("ray://")):
        raise OptionError(f"--ray is {address!r:.80}; allowed: {AUTO}, {LOCAL}, ray://HOST:PORT")
    try:
        socket.create_connection((match[1].strip("[]"), int(match[2])), timeout=_PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise ClusterError(f"{named}: nobody listens there ({error})") from None


def share(machines: Sequence[int], actors: int | None, threads: int | None) -> Share:
    """Share machines, of which each has so many processors, between actors."""
    least, actors = min(machines), actors or len(machines)
    if threads is None and actors > len(machines):
        threads = max(1, least // math.ceil(actors / len(machines)))
    return Share(actors, threads or least, threads)


def _machines(ray: Any, address: str) -> list[int]:
    """Return how many processors each machine of the cluster offers that offers any."""
    counts = [math.floor(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    if not any(counts):
        raise ClusterError(f"{address}: the cluster has no processors")
    return [count for count in counts if count]


def last_line(error: BaseException) -> str:
    """Return what an error of Ray's ends with, which is its cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else error.__class__.__name__
