"""Measure pyllama3 beside llama.cpp: the same files, threads and moments.

Each side is a process of its own, which stays and is asked for one measurement at a time. The two take turns; while one
measures, the other one is stopped by a signal, so that none of its threads spins. Medians of all rounds are compared.
llama.cpp runs each test with its flash attention and without, of which now one, now the other is faster; the faster
counts.

    python benchmarks/versus_llama_cpp.py --peer-python /path/to/a/python/that/has/llama-cpp-python
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from models import DEFAULTS, find_file  # noqa: E402

from pyllama3.analysis.bench.machine import describe_machine  # noqa: E402
from pyllama3.analysis.bench.measure import SpeedTest  # noqa: E402
from pyllama3.config import PRECISIONS, Precision  # noqa: E402
from pyllama3.cpu import physical_cores  # noqa: E402
from pyllama3.errors import PyLlama3Error  # noqa: E402

WORKERS = ROOT / "benchmarks" / "workers"
WARM_UP = 4
"""Most tokens to generate before generation is measured."""


class Side:
    """A process that measures, and sleeps meanwhile."""

    def __init__(self, python: str, script: str) -> None:
        self._script = script
        self._process = subprocess.Popen(
            [python, str(WORKERS / script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            text=True,
        )
        self._stop()

    def ask(self, method: str, **arguments: Any) -> Any:
        """Have a method of the worker run.

        Raises:
            ClickException: the process has ended; what it printed tells why.
        """
        assert self._process.stdin
        assert self._process.stdout
        self._process.send_signal(signal.SIGCONT)
        self._process.stdin.write(json.dumps({"method": method, "arguments": arguments}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise click.ClickException(f"{self._script} has failed")
        self._stop()
        return json.loads(answer)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def _stop(self) -> None:
        self._process.send_signal(signal.SIGSTOP)
        os.waitpid(self._process.pid, os.WUNTRACED)  # until all its threads have stopped


Speeds = dict[str, list[float]]
"""Tokens per second, round by round, for each mode of a side."""


@dataclass
class Comparison:
    """What was measured for one test."""

    model: str
    threads: int
    test: SpeedTest
    ours: Speeds = field(default_factory=dict)
    theirs: Speeds = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """The best of ours by the best of theirs."""
        return best(self.ours) / best(self.theirs)


def best(speeds: Speeds) -> float:
    """Return the median of the fastest mode."""
    return max(map(statistics.median, speeds.values()))


def measure(side: Side, mode: str, threads: int, test: SpeedTest) -> float:
    """Return the tokens per second of one run of a test."""
    side.ask("fill", mode=mode, tokens=test.depth, threads=threads)
    method = "read" if test.prompt else "generate"
    return test.tokens / float(side.ask(method, mode=mode, tokens=test.tokens, threads=threads))


def compare(
    ours: Side,
    theirs: Side,
    model: str,
    tests: Sequence[SpeedTest],
    threads: Sequence[int],
    rounds: int,
    precision: Precision,
) -> Iterator[Comparison]:
    """Run all tests on one model, in all modes of both sides; which of them begins changes from round to round."""
    file = str(find_file(model).resolve())
    context = max(test.depth + test.tokens for test in tests)
    ours.ask("load", path=file, context=context, threads=max(threads), precision=precision)
    theirs.ask("load", path=file, context=context, threads=max(threads))
    for count in threads:
        for test in tests:
            comparison = Comparison(model, count, test)
            runs = [
                (side, mode, results.setdefault(mode, []))
                for side, results in ((ours, comparison.ours), (theirs, comparison.theirs))
                for mode in side.ask("modes")
            ]
            for side, mode, _ in runs:
                warm_up = test if test.prompt else SpeedTest(generated=min(WARM_UP, test.generated), depth=test.depth)
                measure(side, mode, count, warm_up)
            for number in range(rounds):
                for side, mode, speeds in runs[:: -1 if number % 2 else 1]:
                    speeds.append(measure(side, mode, count, test))
            yield comparison


def markdown(comparisons: Sequence[Comparison]) -> str:
    """Return two tables: the ratios, with a row for each model, and all medians."""
    columns = list(dict.fromkeys((comparison.test.name, comparison.threads) for comparison in comparisons))
    lines = [
        f"| ours / llama.cpp | {' | '.join(f'{name}, {threads}t' for name, threads in columns)} |",
        f"|---|{'---:|' * len(columns)}",
    ]
    for model in dict.fromkeys(comparison.model for comparison in comparisons):
        ratios = {(c.test.name, c.threads): f"{c.ratio:.2f}" for c in comparisons if c.model == model}
        lines.append(f"| {model} | {' | '.join(ratios.get(column, '') for column in columns)} |")
    lines += ["", "| model | test | threads | pyllama3 t/s | llama.cpp t/s | ratio |", "|---|---|---:|---:|---:|---:|"]
    for c in comparisons:
        medians = f"{best(c.ours):.1f} | {best(c.theirs):.1f}"
        lines.append(f"| {c.model} | {c.test.name} | {c.threads} | {medians} | {c.ratio:.2f} |")
    return "\n".join(lines)


def as_json(comparisons: Sequence[Comparison], machine: dict[str, Any]) -> str:
    """Return the machine and every measurement."""
    results = [
        {
            "model": c.model,
            "threads": c.threads,
            "test": c.test.name,
            "ours": c.ours,
            "theirs": c.theirs,
            "ratio": c.ratio,
        }
        for c in comparisons
    ]
    return json.dumps({**machine, "results": results}, indent=1)


def find_peer_python(chosen: str | None) -> str:
    """Return a Python that has llama-cpp-python.

    Raises:
        UsageError: there is none.
    """
    if chosen is None and importlib.util.find_spec("llama_cpp") is not None:
        return sys.executable
    if chosen is None:
        raise click.UsageError("The peer is missing: pip install llama-cpp-python, or --peer-python PATH.")
    if subprocess.run([chosen, "-c", "import llama_cpp"], capture_output=True).returncode != 0:
        raise click.UsageError(f"{chosen} cannot import llama_cpp.")
    return chosen


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("models", nargs=-1)
@click.option("--peer-python", metavar="PATH", help="A Python with llama-cpp-python; by default this one.")
@click.option("-t", "--threads", multiple=True, type=int, help="May be repeated; by default 1 and one per core.")
@click.option("-p", "--prompt", default=512, show_default=True, help="Prompt tokens to read; 0 for none.")
@click.option("-n", "--generate", default=64, show_default=True, help="Tokens to generate.")
@click.option("--depth", default=4096, show_default=True, help="Generate behind so many tokens, too; 0 for not.")
@click.option("-r", "--rounds", default=7, show_default=True, help="Runs of each test on both sides.")
@click.option("--precision", type=click.Choice(PRECISIONS), default="default", show_default=True, help="Of ours.")
@click.option("--quick", is_flag=True, help="A small check that all works: short tests of the first model.")
@click.option("-o", "--output", type=click.Choice(["md", "json"]), default="md", show_default=True)
def main(
    models: tuple[str, ...],
    peer_python: str | None,
    threads: tuple[int, ...],
    prompt: int,
    generate: int,
    depth: int,
    rounds: int,
    precision: Precision,
    quick: bool,
    output: str,
) -> None:
    """Compare the speeds of pyllama3 and llama.cpp on MODELS: GGUF files, smollm2:TYPE or llama3.2-1b:TYPE."""
    models = models or DEFAULTS
    if quick:
        models, prompt, generate, depth, rounds = models[:1], min(prompt, 64), min(generate, 8), min(depth, 128), 2
    tests = [SpeedTest(generated=generate)]
    tests += [SpeedTest(prompt=prompt)] if prompt else []
    tests += [SpeedTest(generated=generate, depth=depth)] if depth else []
    theirs, ours = Side(find_peer_python(peer_python), "peer.py"), Side(sys.executable, "ours.py")
    comparisons = []
    try:
        machine = {
            **describe_machine(),
            "ours": ours.ask("describe"),
            "theirs": theirs.ask("describe"),
            "precision": precision,
        }
        for model in models:
            counts = threads or tuple(sorted({1, physical_cores()}))
            for comparison in compare(ours, theirs, model, tests, counts, rounds, precision):
                comparisons.append(comparison)
                click.echo(markdown([comparison]).splitlines()[-1], err=True)
    except PyLlama3Error as error:
        raise click.ClickException(str(error)) from None
    finally:
        ours.close()
        theirs.close()
    if output == "json":
        click.echo(as_json(comparisons, machine))
    else:
        click.echo("\n".join(f"- {name}: {value}" for name, value in machine.items()))
        click.echo(f"- rounds: {rounds}\n\n{markdown(comparisons)}")


if __name__ == "__main__":
    main()
