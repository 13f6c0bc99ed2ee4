"""Programs of the covered chapters are compiled and run on both targets, all of them in one go per target."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pyfut.cli import main

PROGRAMS = sorted((Path(__file__).parent / "programs").glob("*.fu"))
C_FLAGS = ["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror"]

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler (cc)")


def class_of(program):
    return program.stem.capitalize()


def write_main(directory):
    """Write a program that prints, for each class, its name and the number of the check that failed."""
    calls = "".join(
        f'\t\tConsole.Write("{class_of(p)} ");\n\t\tConsole.WriteLine({class_of(p)}.Run());\n' for p in PROGRAMS
    )
    path = directory / "main.fu"
    path.write_text(f"public static class All\n{{\n\tpublic static void Main()\n\t{{\n{calls}\t}}\n}}\n")
    return path


@pytest.fixture(scope="module")
def translated(tmp_path_factory):
    directory = tmp_path_factory.mktemp("programs")
    sources = [str(p) for p in [*PROGRAMS, write_main(directory)]]
    assert main(["-o", str(directory / "all.py,c"), *sources]) == 0
    return directory


def results(command):
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    return dict(line.split() for line in run.stdout.splitlines())


@pytest.fixture(scope="module")
def python_results(translated):
    return results([sys.executable, str(translated / "all.py")])


@pytest.fixture(scope="module")
def c_results(translated):
    binary = translated / "all"
    subprocess.run(["cc", *C_FLAGS, "-o", str(binary), str(translated / "all.c"), "-lm"], check=True)
    return results([str(binary)])


@pytest.mark.parametrize("program", PROGRAMS, ids=class_of)
def test_python(program, python_results):
    assert python_results[class_of(program)] == "0"


@needs_compiler
@pytest.mark.parametrize("program", PROGRAMS, ids=class_of)
def test_c(program, c_results):
    assert c_results[class_of(program)] == "0"


PRINTING = """
public static class Printing
{
	public static void Main(string[] args)
	{
		int n = 42;
		long wide = 5000000000;
		nint size = args.Length;
		float half = 0.5;
		string text = "100%";
		Console.WriteLine(n);
		Console.WriteLine(-n);
		Console.Write(wide);
		Console.Write(' ');
		Console.WriteLine();
		Console.WriteLine(half);
		Console.WriteLine(text);
		Console.WriteLine("a\\"b\\\\%d");
		Console.Write("no newline");
		Console.WriteLine();
		Console.WriteLine(size);
		foreach (string arg in args)
			Console.WriteLine(arg);
		Console.WriteLine($"{n}% {n,4}|{n,-4}|{n:D5} {n:x} {half:F2} {text} {wide} {size} {{}}");
		Console.Error.WriteLine("to stderr");
		Console.Error.WriteLine(n);
	}
}
"""
PRINTED = """\
42
-42
500000000032
0.5
100%
a"b\\%d
no newline
2
one
two
42%   42|42  |00042 2a 0.50 100% 5000000000 2 {}
"""


def run_both(tmp_path, source, arguments=()):
    """Compile a program for both targets; return what each prints, on the standard output and as errors."""
    (tmp_path / "t.fu").write_text(source)
    assert main(["-o", str(tmp_path / "t.py,c"), str(tmp_path / "t.fu")]) == 0
    commands = [[sys.executable, str(tmp_path / "t.py")]]
    if shutil.which("cc"):
        subprocess.run(["cc", *C_FLAGS, "-o", str(tmp_path / "t"), str(tmp_path / "t.c"), "-lm"], check=True)
        commands.append([str(tmp_path / "t")])
    runs = [subprocess.run([*c, *arguments], capture_output=True, text=True, check=False) for c in commands]
    return [(run.stdout, run.stderr) for run in runs]


def test_printing(tmp_path):
    for stdout, stderr in run_both(tmp_path, PRINTING, ["one", "two"]):
        assert stdout == PRINTED
        assert stderr == "to stderr\n42\n"


def test_exit_code(tmp_path):
    (tmp_path / "t.fu").write_text("public static class T { public static int Main() => 3; }")
    assert main(["-o", str(tmp_path / "t.py"), str(tmp_path / "t.fu")]) == 0
    assert subprocess.run([sys.executable, str(tmp_path / "t.py")], check=False).returncode == 3


def test_exceptions_in_python(translated):
    code = (
        f"import sys; sys.path.insert(0, {str(translated)!r}); import all as m\n"
        "assert m.Exceptions.half(3) == 1.5\n"
        "try:\n\tm.Exceptions.both(1, -1)\n"
        "except m.Trouble as e:\n\tassert str(e) == 'negative'\n"
        "else:\n\traise SystemExit(1)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@needs_compiler
def test_exceptions_in_c(translated):
    (translated / "t.c").write_text(
        "#include <math.h>\n"
        '#include "all.h"\n'
        "int thrown(void) { return Exceptions_Both(1, 2) && !Exceptions_Both(1, -1) && !Exceptions_Both(-1, 1)"
        " && Exceptions_Half(3) == 1.5f && isnan(Exceptions_Half(-3)); }\n"
        "#define main all_main\n"
        '#include "all.c"\n'
        "#undef main\n"
        "int main(void) { return !thrown(); }\n"
    )
    subprocess.run(["cc", "-o", str(translated / "t"), str(translated / "t.c"), "-lm"], check=True)
    subprocess.run([str(translated / "t")], check=True)


@needs_compiler
def test_nothing_leaks(translated):
    """The address sanitizer also reports what is not released."""
    binary = translated / "sanitized"
    flags = ["-std=c11", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover"]
    built = subprocess.run(
        ["cc", *flags, "-o", str(binary), str(translated / "all.c"), "-lm"], capture_output=True, text=True, check=False
    )
    if built.returncode:
        pytest.skip("the C compiler has no sanitizers")
    run = subprocess.run([str(binary)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
