"""Reads mutated files, each in at most ten seconds and a gigabyte more than before, and tells what went wrong.

A case is a reader, a seed and a number; `python tests/drills/fuzz.py READER --first N --count 1` repeats one. What it
read stays in `--keep`. Cases run in a child process, which is started again behind one that kills it.
"""

from __future__ import annotations

import argparse
import gc
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
SECONDS = 10
MEMORY = 1 << 30
FAILED = "FAILED"


def drill(
    reader: str, *, count: int, seed: int, first: int = 0, keep: Path | None = None, limited: bool = True
) -> list[str]:
    """Run cases of a reader, and return a line for each that fails."""
    failures: list[str] = []
    end = first + count
    with tempfile.TemporaryDirectory() as folder:
        progress = Path(folder, "progress")
        while first < end:
            progress.write_text(str(first))
            options = ["--first", str(first), "--count", str(end - first), "--seed", str(seed)]
            options += ["--keep", str(keep)] if keep else []
            command = [
                sys.executable,
                __file__,
                reader,
                "--child",
                folder,
                *options,
                *([] if limited else ["--unlimited"]),
            ]
            result = subprocess.run(command, capture_output=True, text=True, errors="replace")
            failures += [
                line.removeprefix(FAILED).strip() for line in result.stdout.splitlines() if line.startswith(FAILED)
            ]
            if result.returncode == 0:
                break
            first = int(progress.read_text())
            reason = "hangs" if result.returncode == -signal.SIGALRM else f"ends with {result.returncode}"
            failures.append(f"{reader} {first}: {reason}: {result.stderr.strip()[-2000:]}")
            first += 1
    return failures


def run_cases(
    reader: str, folder: Path, *, count: int, seed: int, first: int, keep: Path | None, limited: bool
) -> None:
    """Run cases in this process."""
    sys.path[:0] = [str(TESTS.parent), str(TESTS / "support"), str(TESTS / "drills")]
    from readers import READERS

    from pyllama3.errors import PyLlama3Error

    drilled = READERS[reader]
    files = folder / "files"
    shutil.rmtree(files, ignore_errors=True)
    files.mkdir()
    drilled.write(files)
    good = {path: path.read_bytes() for path in files.rglob("*") if path.is_file()}
    drilled.read(files)  # what is good is read, and all that it needs is in memory
    for number in range(first, first + count):
        (folder / "progress").write_text(str(number))
        for path in files.rglob("*"):
            if path.is_file() and path not in good:
                path.unlink()
        for path, content in good.items():
            path.write_bytes(content)
        rng = random.Random(f"{reader} {seed} {number}")
        name = rng.choice(sorted(drilled.files))
        (files / name).write_bytes(drilled.files[name](good[files / name], rng))
        if keep:
            shutil.copytree(files, keep / f"{reader}-{number}", dirs_exist_ok=True)
        if limited:
            gc.collect()
            size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, resource.RLIM_INFINITY))
        signal.alarm(SECONDS)
        try:
            drilled.read(files)
        except PyLlama3Error as error:
            if len(str(error).splitlines()) != 1 or len(str(error)) > 1000:
                print(f"{FAILED} {reader} {number}: {name}: not one line: {error!r:.300}", flush=True)
        except BaseException as error:
            trace = error.__traceback__
            while trace and trace.tb_next:
                trace = trace.tb_next
            place = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else ""
            print(
                f"{FAILED} {reader} {number}: {name}: {type(error).__name__}: {str(error)!r:.200} at {place}",
                flush=True,
            )
        signal.alarm(0)
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def main(arguments: Sequence[str]) -> int:
    """Run the drills that a command line asks for; return whether any case failed."""
    sys.path[:0] = [str(TESTS.parent), str(TESTS / "support"), str(TESTS / "drills")]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("readers", nargs="*")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for what is read")
    parser.add_argument("--unlimited", action="store_true", help="set no limit on memory, which sanitizers need")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    limits = {"count": options.count, "seed": options.seed, "first": options.first, "keep": options.keep}
    limits["limited"] = not options.unlimited
    if options.child:
        run_cases(options.readers[0], options.child, **limits)
        return 0
    from readers import READERS

    failed = False
    for reader in options.readers or READERS:
        failures = drill(reader, **limits)
        print(f"{reader}: {options.count} cases, {len(failures)} failed", *failures, sep="\n  ", flush=True)
        failed |= bool(failures)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
