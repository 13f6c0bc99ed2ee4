"""Load servers of OpenAI's API with clients that read streams, and tell how fast they are served.

Each client asks one question after the other for some seconds. Servers take turns, and start for their turn unless they
are URLs. With `--check`, every answer of pyllama3 is compared with the one that is computed alone, without a server.

    pip install -e '.[dev]'
    python benchmarks/serve_load.py pyllama3 llama_cpp --peer-python /path/to/a/python/that/has/llama-cpp-python[server]
    python benchmarks/serve_load.py http://127.0.0.1:8080 --clients 32 --seconds 120
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import httpx

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from models import find_file  # noqa: E402

from pyllama3 import Llama  # noqa: E402
from pyllama3.analysis.bench.machine import describe_machine, processor_title  # noqa: E402

PORT = 8199
SUBJECTS = ("the sea", "rivers", "bread", "the moon", "trains", "bees", "paper", "music")
LONG_TEXT = "A long text about nothing much, which has to be read before it can be answered. "


@dataclass
class Load:
    """What clients have seen."""

    tokens: int = 0
    first: list[float] = field(default_factory=list)
    """Seconds from a question to the first piece of its answer."""
    gaps: list[float] = field(default_factory=list)
    """Seconds between two pieces."""
    answers: list[tuple[int, str]] = field(default_factory=list)
    """Numbers of questions with the texts."""
    errors: list[str] = field(default_factory=list)
    seconds: float = 0.0


def question(number: int, max_tokens: int) -> dict[str, Any]:
    """Return the body of a request of which there are not too many: some clients ask the same."""
    subject = SUBJECTS[number % len(SUBJECTS)]
    return {
        "model": "m",
        "messages": [{"role": "user", "content": f"Write sentence {number % 64} of a story about {subject}."}],
        "max_tokens": max_tokens,
        "seed": number % 64,
        "temperature": 0.8 * (number % 2),
        "top_p": 0.9,
    }


async def ask(client: httpx.AsyncClient, url: str, number: int, body: dict[str, Any], load: Load) -> None:
    """Ask one question and note when what came."""
    last = started = time.perf_counter()
    text, is_first = "", True
    try:
        async with client.stream("POST", f"{url}/v1/chat/completions", json={**body, "stream": True}) as response:
            if response.status_code != 200:
                load.errors.append(f"status {response.status_code}: {(await response.aread())[:200]!r}")
                return
            async for line in response.aiter_lines():
                if not line.startswith("data: {"):
                    continue
                choices = json.loads(line[6:]).get("choices")
                piece = choices[0]["delta"].get("content") if choices else None
                if not piece:
                    continue
                now = time.perf_counter()
                (load.first if is_first else load.gaps).append(now - last)
                last, is_first = now, False
                text += piece
                load.tokens += 1
    except httpx.HTTPError as error:
        load.errors.append(f"{type(error).__name__} after {time.perf_counter() - started:.1f} s")
        return
    load.answers.append((number, text))


async def run_clients(url: str, clients: int, seconds: float, max_tokens: int) -> Load:
    """Let so many clients ask for some time; answers that have begun by then are counted as well."""
    load, numbers, started = Load(), iter(range(1 << 30)), time.perf_counter()

    async def client_loop(client: httpx.AsyncClient) -> None:
        while time.perf_counter() - started < seconds:
            number = next(numbers)
            await ask(client, url, number, question(number, max_tokens), load)

    limits = httpx.Limits(max_connections=clients + 1)
    async with httpx.AsyncClient(timeout=600, limits=limits) as client:
        await asyncio.gather(*(client_loop(client) for _ in range(clients)))
    load.seconds = time.perf_counter() - started
    return load


async def short_beside_long(url: str, count: int, words: int) -> float:
    """Return the seconds to the first piece of a short answer while so many long prompts are being read."""
    load, unused = Load(), Load()
    async with httpx.AsyncClient(timeout=600, limits=httpx.Limits(max_connections=count + 1)) as client:
        long = [
            asyncio.create_task(
                ask(
                    client,
                    url,
                    number,
                    {
                        "model": "m",
                        "messages": [{"role": "user", "content": f"{number}. " + LONG_TEXT * words}],
                        "max_tokens": 8,
                    },
                    unused,
                )
            )
            for number in range(count)
        ]
        await asyncio.sleep(0.5)
        await ask(client, url, 0, question(0, 8), load)
        await asyncio.gather(*long)
    return load.first[0] if load.first else float("nan")


@contextmanager
def running(name: str, model: Path, parallel: int, context: int, peer_python: str) -> Iterator[tuple[str, int | None]]:
    """Yield the URL of a server, and its process if it is started here."""
    if name.startswith("http"):
        yield name.rstrip("/"), None
        return
    if name == "pyllama3":
        command = [sys.executable, "-m", "pyllama3", "serve", "-m", str(model), "-c", str(context)]
        command += ["--parallel", str(parallel)]
    elif name == "llama_cpp":
        command = [peer_python, "-m", "llama_cpp.server", "--model", str(model), "--n_ctx", str(context)]
    else:
        raise click.UsageError(f"{name!r} is neither pyllama3 nor llama_cpp nor a URL")
    url = f"http://127.0.0.1:{PORT}"
    with subprocess.Popen(
        [*command, "--port", str(PORT)], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            while True:
                if process.poll() is not None:
                    raise click.ClickException(f"{name} has ended with code {process.returncode}")
                try:
                    if httpx.get(f"{url}/v1/models").status_code == 200:
                        break
                except httpx.HTTPError:
                    pass
                time.sleep(0.2)
            yield url, process.pid
        finally:
            process.kill()


def resident(pid: int | None) -> float:
    """Return the MB of memory that a process has; 0 if it is not known."""
    path = Path(f"/proc/{pid}/status")
    if pid is None or not path.exists():
        return 0.0
    line = next(line for line in path.read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def check(model: Path, context: int, answers: Sequence[tuple[int, str]], max_tokens: int) -> str:
    """Compare answers with those computed alone."""
    llm = Llama.load(model, context=context)
    alone: dict[int, str] = {}
    equal = 0
    for number, text in answers:
        key = number % (64 * len(SUBJECTS))
        if key not in alone:
            body = question(number, max_tokens)
            options = {name: body[name] for name in ("max_tokens", "seed", "temperature", "top_p")}
            alone[key] = "".join(piece.text for piece in llm.chat(body["messages"], **options))
        equal += text == alone[key]
    return f"{equal} of {len(answers)} answers are those computed alone"


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which a share of the values lies."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else float("nan")


@click.command()
@click.argument("servers", nargs=-1, required=True, metavar="SERVER...")
@click.option("-m", "--model", default="smollm2:Q4_1", show_default=True, help="What to serve.")
@click.option("--clients", default=32, show_default=True, help="At a time.")
@click.option("--seconds", default=60.0, show_default=True, help="How long they ask.")
@click.option("-n", "--max-tokens", default=64, show_default=True, help="Of an answer.")
@click.option("--parallel", default=8, show_default=True, help="Texts that pyllama3 works on at a time.")
@click.option("-c", "--context", default=2048, show_default=True, help="Tokens.")
@click.option("--long", default=8, show_default=True, help="Long prompts beside which a short one is timed; 0: none.")
@click.option("--peer-python", default=sys.executable, help="A Python that has llama-cpp-python[server].")
@click.option("--check", "is_checked", is_flag=True, help="Compare answers with those computed alone.")
def main(
    servers: tuple[str, ...],
    model: str,
    clients: int,
    seconds: float,
    max_tokens: int,
    parallel: int,
    context: int,
    long: int,
    peer_python: str,
    is_checked: bool,
) -> None:
    """Load SERVERs: pyllama3, llama_cpp, or URLs."""
    machine = describe_machine()
    click.echo(f"{processor_title()}, {machine['c_compiler']}, {machine['test_time']}")
    path = find_file(model)
    for name in servers:
        with running(name, path, parallel, context, peer_python) as (url, pid):
            alone = asyncio.run(run_clients(url, 1, seconds / 4, max_tokens))
            before = resident(pid)
            load = asyncio.run(run_clients(url, clients, seconds, max_tokens))
            after = resident(pid)
            short = [asyncio.run(short_beside_long(url, long, context // 32)) for _ in range(3 if long else 0)]
        speed, single = load.tokens / load.seconds, alone.tokens / alone.seconds
        click.echo(
            f"{name}: {clients} clients, {load.seconds:.0f} s: {len(load.answers)} answers, {len(load.errors)} errors, "
            f"{speed:.1f} pieces/s ({speed / single:.2f} times those of 1 client); "
            f"first piece p50 {quantile(load.first, 0.5):.2f} s, p95 {quantile(load.first, 0.95):.2f} s "
            f"(1 client: {quantile(alone.first, 0.5):.2f} s); gap p95 {quantile(load.gaps, 0.95):.3f} s; "
            f"memory {before:.0f} to {after:.0f} MB"
        )
        for error in sorted(set(load.errors))[:5]:
            click.echo(f"  {load.errors.count(error)} times {error}")
        if short:
            click.echo(f"  a short question beside {long} long ones: first piece {statistics.median(short):.2f} s")
        if is_checked:
            click.echo(f"  {check(path, context, [*alone.answers, *load.answers], max_tokens)}")


if __name__ == "__main__":
    main()
