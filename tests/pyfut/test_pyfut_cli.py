"""The command line: fut's options, several outputs, exit codes, and no half-written files."""

import os
import stat
import subprocess
import sys

import pytest
from paths import ROOT

from pyfut import __version__
from pyfut.cli import main

GOOD = "public static class T { public static int Two() => 2; }"


@pytest.fixture
def good(tmp_path):
    (tmp_path / "good.fu").write_text(GOOD)
    return str(tmp_path / "good.fu")


def names(path):
    return sorted(p.name for p in path.iterdir())


def test_several_outputs(good, tmp_path):
    assert main(["-o", str(tmp_path / "x.py,c"), good]) == 0
    assert names(tmp_path) == ["good.fu", "x.c", "x.h", "x.py"]
    assert (tmp_path / "x.c").read_text().startswith('// Generated automatically with "pyfut". Do not edit.\n')
    assert (tmp_path / "x.py").read_text().startswith('# Generated automatically with "pyfut". Do not edit.\n')
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE((tmp_path / "x.py").stat().st_mode) == 0o666 & ~umask


def test_explicit_language(good, tmp_path):
    assert main(["-l", "py", "-o", str(tmp_path / "module"), good]) == 0
    assert names(tmp_path) == ["good.fu", "module"]
    assert "class T:" in (tmp_path / "module").read_text()


def test_as_a_module(good, tmp_path):
    command = [sys.executable, "-m", "pyfut", "-o", str(tmp_path / "x.py"), good]
    subprocess.run(command, cwd=ROOT, check=True)
    assert names(tmp_path) == ["good.fu", "x.py"]


def test_prefix(good, tmp_path):
    assert main(["-n", "My", "-o", str(tmp_path / "x.c"), good]) == 0
    assert "int MyT_Two(void);" in (tmp_path / "x.h").read_text()


SYMBOLS = """
public static class T
{
#if FAST && !(SLOW || OLD)
	public const int Choice = 1;
#elif SLOW != false // a comment
	public const int Choice = 2;
#else
	public const int Choice = 3;
	this is not compiled
#endif
#if true == FAST
	// nested
#if false
	garbage '
#endif
#endif
}
"""


@pytest.mark.parametrize(("symbols", "choice"), [(["FAST"], 1), (["FAST", "OLD", "SLOW"], 2), (["SLOW"], 2)])
def test_symbols(symbols, choice, tmp_path):
    (tmp_path / "t.fu").write_text(SYMBOLS)
    defines = [argument for symbol in symbols for argument in ("-D", symbol)]
    assert main([*defines, "-o", str(tmp_path / "t.py"), str(tmp_path / "t.fu")]) == 0
    assert f"CHOICE = {choice}" in (tmp_path / "t.py").read_text()


def test_reference_is_read_but_not_written(good, tmp_path):
    (tmp_path / "user.fu").write_text("public static class User { public static int Four() => T.Two() * 2; }")
    assert main(["-r", good, "-o", str(tmp_path / "user.py"), str(tmp_path / "user.fu")]) == 0
    text = (tmp_path / "user.py").read_text()
    assert "class User" in text
    assert "class T" not in text


def test_resource_directory(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "blob.bin").write_bytes(bytes([0, 255, 34]))
    source = """public static class T
{
	public static int Sum()
	{
		byte[] b = resource<byte[]>("blob.bin");
		return b[0] + b[1] + b[2];
	}
	public static void Main() { Console.WriteLine(Sum()); }
}"""
    (tmp_path / "t.fu").write_text(source)
    arguments = ["-o", str(tmp_path / "t.py,c"), str(tmp_path / "t.fu")]
    assert main(arguments) == 1
    assert main(["-I", str(tmp_path / "data"), *arguments]) == 0
    run = subprocess.run([sys.executable, str(tmp_path / "t.py")], capture_output=True, text=True, check=True)
    assert run.stdout == "289\n"
    assert "static const uint8_t FuResource_blob_bin[3]" in (tmp_path / "t.c").read_text()


def test_help_and_version(capsys):
    assert main(["--help"]) == 0
    assert "-D NAME" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"pyfut {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Specify an output file"),
        (["in.fu"], "Specify an output file"),
        (["-o", "x.c"], "Specify an output file"),
        (["--fast", "-o", "x.c", "in.fu"], "Unknown option: --fast"),
        (["in.fu", "-o"], "Option -o needs a value"),
        (["-o", "x.java", "in.fu"], "Unknown language: java"),
        (["-o", "x", "in.fu"], "Don't know what language"),
        (["-l", "js", "-o", "x", "in.fu"], "Unknown language: js"),
    ],
)
def test_usage_errors(arguments, message, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"pyfut: ERROR: {message}")
    assert "Usage:" in error


def test_missing_input(tmp_path, capsys):
    assert main(["-o", str(tmp_path / "x.c"), str(tmp_path / "none.fu")]) == 1
    assert capsys.readouterr().err == f"{tmp_path / 'none.fu'}: ERROR: No such file or directory\n"


def test_invalid_utf8(tmp_path, capsys):
    (tmp_path / "t.fu").write_bytes(b"// fine\n// \xff\n")
    assert main(["-o", str(tmp_path / "x.c"), str(tmp_path / "t.fu")]) == 1
    assert capsys.readouterr().err == f"{tmp_path / 't.fu'}(2): ERROR: Invalid UTF-8\n"


def test_unwritable_output(good, tmp_path, capsys):
    assert main(["-o", str(tmp_path / "none" / "x.c"), good]) == 1
    assert capsys.readouterr().err.startswith("pyfut: ERROR: ")


def test_errors_leave_the_old_output(good, tmp_path, capsys):
    assert main(["-o", str(tmp_path / "x.py,c"), good]) == 0
    before = {name: (tmp_path / name).read_text() for name in names(tmp_path)}
    (tmp_path / "bad.fu").write_text("public static class Bad { public static int F() => 1.5; int G }")
    assert main(["-o", str(tmp_path / "x.py,c"), good, str(tmp_path / "bad.fu")]) == 1
    assert "bad.fu(1): ERROR: " in capsys.readouterr().err
    assert {name: (tmp_path / name).read_text() for name in before} == before
    assert names(tmp_path) == sorted([*before, "bad.fu"])


def test_error_of_one_target_writes_nothing(tmp_path, capsys):
    source = "public static class T { public static string() Up(string s) => s.ToUpper(); }"
    (tmp_path / "t.fu").write_text(source)
    assert main(["-o", str(tmp_path / "t.py,c"), str(tmp_path / "t.fu")]) == 1
    assert capsys.readouterr().err == f"{tmp_path / 't.fu'}(1): ERROR: ToUpper in C is not supported by pyfut\n"
    assert names(tmp_path) == ["t.fu"]
