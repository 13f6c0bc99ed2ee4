"""Run fut's own test programs through pyfut: `python tests/pyfut/run_fut_tests.py FUT_CHECKOUT [NAME ...]`.

The programs belong to fut (https://github.com/fusionlanguage/fut, directory test/) and are not part of this project.
Each prints PASSED. Per target, a program passes, is refused by a diagnostic that ends in "is not supported by pyfut",
or fails: that is wrong code, a compiler warning, a crash of pyfut or any other diagnostic. A program in which a comment
says that fut fails with the target too (`//FAIL: py`) is counted apart when it fails.
"""

import contextlib
import io
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from pyfut.cli import main

LANGUAGES = ("py", "c")
C_FLAGS = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-g", "-fsanitize=address,undefined"]


def translate(program: Path, language: str, directory: Path) -> str:
    """Return "" after writing the translation to the directory, or what went wrong."""
    output = directory / f"{program.stem}.{language}"
    arguments = ["-o", str(output), "-D", language.upper(), "-I", str(program.parent), str(program)]
    if " Main(" not in program.read_text():
        arguments.append(str(program.parent / "Runner.fu"))
    messages = io.StringIO()
    try:
        with contextlib.redirect_stderr(messages):
            code = main(arguments)
    except Exception as error:
        return f"FAILED: crash: {error!r}"
    if code == 0:
        return ""
    lines = messages.getvalue().strip().splitlines()
    refused = [line for line in lines if line.endswith("is not supported by pyfut")]
    if len(refused) == len(lines):
        return f"not supported: {refused[0].split('ERROR: ')[1].removesuffix(' is not supported by pyfut')}"
    return f"FAILED: {lines[0]}"


def execute(program: Path, language: str, directory: Path) -> str:
    """Return the outcome of running the translated program."""
    source = directory / f"{program.stem}.{language}"
    command = [sys.executable, str(source)]
    if language == "c":
        binary = directory / program.stem
        compiled = subprocess.run(
            ["cc", *C_FLAGS, "-o", str(binary), str(source), "-lm"], capture_output=True, text=True, check=False
        )
        if compiled.returncode:
            return f"FAILED: {compiled.stderr.splitlines()[0] if compiled.stderr else 'compiler'}"
        command = [str(binary)]
    try:
        run = subprocess.run(
            [*command, "foo", "bar"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd=directory,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return "FAILED: endless"
    if run.stdout.endswith("PASSED\n") and run.returncode == 0:
        return "passed"
    return f"FAILED: {(run.stderr.strip() or run.stdout.strip() or str(run.returncode)).splitlines()[-1]}"


def fails_with_fut(program: Path, language: str) -> bool:
    """Whether a comment in the program says that fut's translation to the language fails."""
    return any(language in re.findall(r"\w+", note) for note in re.findall(r"//FAIL:(.*)", program.read_text()))


def run(checkout: Path, names: list[str]) -> int:
    """Run all programs of a checkout or those named; return the number of failures."""
    programs = sorted(p for p in (checkout / "test").glob("*.fu") if p.stem != "Runner")
    programs = [p for p in programs if not names or p.stem in names]
    failures = 0
    for language in LANGUAGES:
        if language == "c" and shutil.which("cc") is None:
            print("c: skipped, there is no C compiler")
            continue
        with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(2) as pool:
            directory = Path(temporary)
            outcomes = {p: translate(p, language, directory) for p in programs}
            waiting = [p for p in programs if not outcomes[p]]
            executed = pool.map(lambda p: execute(p, language, directory), waiting)  # noqa: B023
            outcomes.update(zip(waiting, executed, strict=True))
        for program, outcome in outcomes.items():
            if outcome.startswith("FAILED") and fails_with_fut(program, language):
                outcomes[program] = outcome = outcome.replace("FAILED", "fails with fut too", 1)
            if names or outcome.startswith("FAILED"):
                print(f"{language}: {program.stem}: {outcome}")
        passed = sum(o == "passed" for o in outcomes.values())
        refused = sum(o.startswith("not supported") for o in outcomes.values())
        shared = sum(o.startswith("fails with fut") for o in outcomes.values())
        failed = len(outcomes) - passed - refused - shared
        failures += failed
        counts = f"{passed} passed, {refused} not supported, {shared} fail with fut too, {failed} FAILED"
        print(f"{language}: {counts} of {len(outcomes)}")
    return failures


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(min(run(Path(sys.argv[1]), sys.argv[2:]), 1))
