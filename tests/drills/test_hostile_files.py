"""Small files that ask for much: memory and time stay within what the file really has.

The witness is the system, which limits the memory of a process. To add a case: a function that writes a file.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gguf_files import llama_metadata, llama_tensors, write_gguf
from paths import ROOT
from pth_files import Stored, pickled, write_archive
from safetensors_files import change_json, copied, safetensors

MEMORY = 1 << 30
LOAD = """
import resource, sys
from pyllama3.errors import PyLlama3Error
from pyllama3.weights import load_weights
from pyllama3.weights.formats import huggingface, json_files, meta, pth, safetensors
from pyllama3.tokenizer import tokenizer
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + int(sys.argv[2]),) * 2)
try:
    tokenizer.Tokenizer(load_weights(sys.argv[1]).load_vocabulary())
except PyLlama3Error as error:
    print(error)
"""


def load(path: Path) -> str:
    """Load a model in a process of its own, which may take a gigabyte more than at first, and return its error."""
    command = [sys.executable, "-c", LOAD, str(path), str(MEMORY)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert (result.returncode, result.stderr) == (0, "")
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 10  # of this process only, busy or not
    return result.stdout


def transposed_views(folder: Path) -> Path:
    directory = copied("meta-f16", folder)
    tensors = {f"x{n}": Stored("0", 360_000, (600, 600), strides=(1, 600)) for n in range(2000)}
    files = {"data.pkl": pickled(tensors), "byteorder": b"little", "data/0": bytes(4 * 360_000)}
    write_archive(directory / "consolidated.00.pth", files)
    return directory


def overlapping_views(folder: Path) -> Path:
    directory = copied("meta-f16", folder)
    tensors = {f"x{n}": Stored("0", 360_001, (600, 600), offset=n % 2) for n in range(2000)}
    files = {"data.pkl": pickled(tensors), "byteorder": b"little", "data/0": bytes(4 * 360_001)}
    write_archive(directory / "consolidated.00.pth", files)
    return directory


def long_pickle(folder: Path) -> Path:
    directory = copied("meta-f16", folder)
    files = {"data.pkl": b"\x80\x02" + b"N" * (1 << 24) + b".", "byteorder": b"little"}
    write_archive(directory / "consolidated.00.pth", files)
    return directory


def pickle_of_many_instructions(folder: Path) -> Path:
    directory = copied("meta-f16", folder)
    files = {"data.pkl": b"\x80\x02" + b"}" * (1 << 20 - 1) + b".", "byteorder": b"little"}
    write_archive(directory / "consolidated.00.pth", files)
    return directory


def long_header(folder: Path) -> Path:
    directory = copied("huggingface-tied-bf16", folder)
    (directory / "model.safetensors").write_bytes(safetensors(b'{"a":[' + b"{}," * 13_000_000 + b"{}]}", b""))
    return directory


def header_of_empty_objects(folder: Path) -> Path:
    directory = copied("huggingface-tied-bf16", folder)
    (directory / "model.safetensors").write_bytes(safetensors(b'{"a":[' + b"{}," * 3_300_000 + b"{}]}", b""))
    return directory


def config_of_empty_lists(folder: Path) -> Path:
    directory = copied("huggingface-tied-bf16", folder)
    (directory / "config.json").write_bytes(b'{"a":[' + b"[]," * 3_300_000 + b"[]]}")
    return directory


def endless_config(folder: Path) -> Path:
    directory = copied("huggingface-tied-bf16", folder)
    (directory / "config.json").unlink()
    (directory / "config.json").symlink_to("/dev/zero")
    return directory


def distant_ids(folder: Path) -> Path:
    directory = copied("huggingface-tied-bf16", folder)
    content = json.loads((directory / "tokenizer.json").read_text("utf-8"))
    content["model"]["vocab"]["x" * 100] = 1 << 40
    (directory / "tokenizer.json").write_text(json.dumps(content), "utf-8")
    return directory


def large_sizes(folder: Path) -> Path:
    directory = copied("huggingface-tied-bf16", folder)
    changes = {"vocab_size": 1 << 40, "num_hidden_layers": 1 << 40, "head_dim": 1 << 40, "hidden_size": 1 << 40}
    change_json(directory / "config.json", changes)
    return directory


def overlapping_tensors(folder: Path) -> Path:
    """All tensors begin where the first does, and the file ends with the longest."""
    tensors = llama_tensors()
    path = write_gguf(folder / "m.gguf", llama_metadata(), tensors)
    content = bytearray(path.read_bytes())
    end = 0
    for name, array in tensors.items():
        at = content.index(len(name).to_bytes(8, "little") + name.encode()) + 8 + len(name) + 4 + 8 * array.ndim + 4
        content[at : at + 8] = bytes(8)
        end = max(end, at + 8)
    longest = max(array.nbytes for array in tensors.values())
    path.write_bytes(content[: -(-end // 32) * 32 + longest])
    return path


def array_of_many(folder: Path) -> Path:
    metadata = llama_metadata() | {"x.y": np.zeros(1 << 22, np.uint8).tolist()}
    return write_gguf(folder / "m.gguf", metadata, llama_tensors())


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (transposed_views, "consolidated.00.pth: tensors share bytes so that all would take 2 times the file"),
        (overlapping_views, "consolidated.00.pth: tensors share bytes so that all would take 2 times the file"),
        (long_pickle, "data.pkl has 16777219 bytes; at most 1048576 are allowed"),
        (pickle_of_many_instructions, "missing tensor"),
        (long_header, "announces a header of 39000016 bytes; at most 16777216 are allowed"),
        (header_of_empty_objects, "tensor 'a' must have dtype, shape and data_offsets"),
        (config_of_empty_lists, ""),
        (endless_config, "config.json: is not a regular file"),
        (distant_ids, "has id 1099511627776"),
        (large_sizes, "config.json: "),
        (overlapping_tensors, "m.gguf: the tensors have 318464 bytes, but there are 71424: some overlap"),
        (array_of_many, ""),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_small_files_that_ask_for_much(tmp_path: Path, write: Callable[[Path], Path], message: str) -> None:
    assert message in load(write(tmp_path))
