"""How long `pyllama3 run` takes until its first token is out, beside llama.cpp's own time to load, read and sample.

Ours begins when the process is started, and has Python and all imports in it; llama.cpp's begins behind them.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from versus_llama_cpp import find_peer_python  # noqa: E402

from pyllama3 import Llama  # noqa: E402
from pyllama3.store.find import find_model  # noqa: E402

QUESTION = "Once upon a time"


def ours(model: str, threads: int) -> float:
    """Return the seconds until the first byte of text."""
    command = [sys.executable, "-m", "pyllama3", "run", "-m", model, "-t", str(threads), "--temp", "0", "-n", "2", "-q"]
    started = time.perf_counter()
    with subprocess.Popen([*command, QUESTION], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.read(1)
        seconds = time.perf_counter() - started
        process.stdout.read()
    return seconds


def theirs(python: str, model: str, threads: int, context: int, prompt: str) -> float:
    """Return the seconds that llama.cpp says it took."""
    script = ROOT / "benchmarks" / "workers" / "peer_first_token.py"
    command = [python, str(script), model, str(threads), str(context), prompt]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model", default="smollm2")
@click.option("--peer-python", metavar="PATH", help="A Python with llama-cpp-python; by default this one.")
@click.option("-t", "--threads", type=int, default=2, show_default=True)
@click.option("-r", "--rounds", type=int, default=9, show_default=True)
def main(model: str, peer_python: str | None, threads: int, rounds: int) -> None:
    """Print the medians of the seconds of both, in turn, and their ratio."""
    peer = find_peer_python(peer_python)
    path = str(find_model(model).resolve())
    with Llama.load(path) as llm:
        context = llm.context
        ids = llm.encode_chat([{"role": "user", "content": QUESTION}])
        prompt = b"".join(map(llm.tokenizer.token_bytes, ids)).decode()  # of special tokens, these are the names
    first, second = [], []
    for _ in range(rounds):
        first.append(ours(path, threads))
        second.append(theirs(peer, path, threads, context, prompt))
    a, b = statistics.median(first), statistics.median(second)
    click.echo(f"first token, median of {rounds}: pyllama3 {a:.3f} s, llama.cpp {b:.3f} s, ratio {a / b:.2f}")
    click.echo(f"fastest: pyllama3 {min(first):.3f} s, llama.cpp {min(second):.3f} s")


if __name__ == "__main__":
    main()
