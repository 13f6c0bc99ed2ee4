"""Makes data of the tests again with the code of others, and compares it with what is stored."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "tests" / "data"

NEEDED = ("torch", "transformers", "llama_models", "sentencepiece", "google.protobuf")
"""Modules without which there is nothing to compare with."""
FILES = ("smollm2_greedy", "smollm2_embeddings", "sentencepiece", "chat_renderings")
"""JSON files, each written by a script of its name."""
PEER = "llama_cpp"
PEER_FILES = ("llama_cpp_errors", "llama_cpp_greedy", "llama_cpp_mixtures", "llama_cpp_rope", "variants")
"""Those whose scripts need the peer, too, which takes long to install."""
DRAWN = 500
"""Variants of models drawn at random that are compared, see tests/data/make_variants.py."""
_VERSIONS = ("oracle", "llama_cpp_python")
"""Keys of what made a file."""
_RELATIVE, _ABSOLUTE = 1e-3, 1e-4
"""How far numbers may differ: sums of single precision depend on the processor, and some are rounded to 4 digits."""
_PEER_RELATIVE = 5e-3
"""The same for the peer, which adds half precision up where the processor can."""


class WitnessError(Exception):
    """What is stored is not what was made again."""


def check_all() -> Iterator[str]:
    """Compare everything that can be made here, and yield a line about each.

    Raises:
        WitnessError: a module is missing, a script fails or data differs.
    """
    missing = [name for name in NEEDED if not _is_installed(name)]
    if missing:
        raise WitnessError(f"{', '.join(missing)} missing; pip install '.[witness]'")
    _run("make_checkpoints.py", "--check")
    yield "checkpoints: the same"
    has_peer = _is_installed(PEER)
    for name in (*FILES, *(PEER_FILES if has_peer else ())):
        check(DATA / f"{name}.json", relative=_PEER_RELATIVE if name in PEER_FILES else _RELATIVE)
        yield f"{name}.json: the same"
    if has_peer:
        _run("make_variants.py", str(DRAWN))
        yield f"{DRAWN} directories and {DRAWN} GGUF files drawn at random: the same"
    else:
        yield f"{', '.join(PEER_FILES)}: not compared, for want of llama-cpp-python"


def check(path: Path, *, relative: float = _RELATIVE) -> None:
    """Make a file again, compare, and put back what was stored.

    Raises:
        WitnessError: its script fails, or makes something else.
    """
    stored = path.read_bytes()
    try:
        _run(f"make_{path.stem}.py")
        made = path.read_bytes()
    finally:
        path.write_bytes(stored)
    for difference in differences(json.loads(stored), json.loads(made), relative=relative):
        raise WitnessError(f"{path.name}{difference}")


def differences(stored: Any, made: Any, place: str = "", *, relative: float = _RELATIVE) -> Iterator[str]:
    """Yield where two JSON values differ, and how; numbers with a fraction may differ a little, versions at will."""
    if isinstance(stored, dict) and isinstance(made, dict) and stored.keys() == made.keys():
        for key in stored.keys() - _VERSIONS:
            yield from differences(stored[key], made[key], f"{place}[{key!r}]", relative=relative)
    elif isinstance(stored, list) and isinstance(made, list) and len(stored) == len(made):
        for index, (old, new) in enumerate(zip(stored, made, strict=True)):
            yield from differences(old, new, f"{place}[{index}]", relative=relative)
    elif isinstance(stored, float) and isinstance(made, float):
        if not math.isclose(stored, made, rel_tol=relative, abs_tol=_ABSOLUTE):
            yield f"{place}: {stored} is stored, {made} was made"
    elif stored != made:
        yield f"{place}: {stored!r:.80} is stored, {made!r:.80} was made"


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package that it is in
        return False


def _run(script: str, *arguments: str) -> None:
    """Run a script of tests/data, which may use the helpers of the tests."""
    variables = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(
            filter(None, [str(ROOT), str(ROOT / "tests" / "support"), os.environ.get("PYTHONPATH")])
        ),
    }
    result = subprocess.run([sys.executable, str(DATA / script), *arguments], cwd=ROOT, env=variables)
    if result.returncode != 0:
        raise WitnessError(f"{script} fails")
