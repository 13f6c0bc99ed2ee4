"""The shape of generated code: plain loops and expressions, no warnings, native blocks in place."""

import ast
import shutil
import subprocess

import pytest

from pyfut.cli import main

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler (cc)")


@pytest.fixture
def translate(tmp_path):
    def run(source, *options):
        (tmp_path / "t.fu").write_text(source)
        assert main([*options, "-o", str(tmp_path / "t.py,c"), str(tmp_path / "t.fu")]) == 0
        ast.parse((tmp_path / "t.py").read_text())
        if shutil.which("cc"):
            flags = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-c"]
            subprocess.run(["cc", *flags, "-o", str(tmp_path / "t.o"), str(tmp_path / "t.c")], check=True)
        return (tmp_path / "t.py").read_text(), (tmp_path / "t.c").read_text()

    return run


def body(statements, parameters="int n, float[]! x, int m"):
    return f"public static class T\n{{\n\tpublic static void F({parameters})\n\t{{\n{statements}\n\t}}\n}}\n"


LOOPS = [
    ("for (int i = 0; i < n; i++) x[i] = 0;", "for i in range(n):"),
    ("for (int i = 1; i <= n; i += 2) x[i] = 0;", "for i in range(1, n + 1, 2):"),
    ("for (int i = n - 1; i >= 0; i--) x[i] = 0;", "for i in range(n - 1, -1, -1):"),
    ("for (int i = n; i > m; i -= 3) x[i] = 0;", "for i in range(n, m, -3):"),
    ("for (int i = 0; n > i; i++) x[i] = 0;", "for i in range(n):"),
    ("for (int i = 0; i < n * m + 16; i++) x[i] = 0;", "for i in range(n * m + 16):"),
    ("for (int i = 0; i < 4; i++) x[0] += 1;", "for _ in range(4):"),
    ("for (int i = 0; i < n; i++) { x[i] = 0; i++; }", "while i < n:"),
    ("for (int i = 0; i < n; i++) { x[i] = 0; n--; }", "while i < n:"),
    ("for (int i = 0; i < n; i += m) x[i] = 0;", "while i < n:"),
    ("for (int i = 0; i < n && m > 0; i++) x[i] = 0;", "while i < n and m > 0:"),
]


@pytest.mark.parametrize(("loop", "expected"), LOOPS)
def test_python_loops(loop, expected, translate):
    assert f"\t\t{expected}\n" in translate(body(loop))[0]


def test_c_loops_are_as_written(translate):
    source = body("for (int i = 0; i < n; i++) x[i] = x[i] * 0.5 + n; for (; m > 0; m--) { n += m; x[n & 3] = 1.5; }")
    c = translate(source)[1]
    assert "\tfor (int i = 0; i < n; i++)\n\t\tx[i] = (float) (x[i] * 0.5 + n);\n" in c
    assert "\tfor (; m > 0; m--) {\n\t\tn += m;\n\t\tx[n & 3] = 1.5f;\n\t}\n" in c


def test_fields_bound_a_range_only_while_unchanged(translate):
    source = """
public class T
{
	int N = 3;
	public int Sum() { int s = 0; for (int i = 0; i < N; i++) s += i; return s; }
	public int Shrink!() { int s = 0; for (int i = 0; i < N; i++) { N--; s += i; } return s; }
	public int Call!() { int s = 0; for (int i = 0; i < N; i++) s += Shrink(); return s; }
}
"""
    python = translate(source)[0]
    assert python.count("for i in range(self._n):") == 1
    assert python.count("while i < self._n:") == 2


def test_nonnegative_division_is_plain(translate):
    statements = "for (int i = 0; i < 9; i++) m += (n & 15) / 4 + i / 3 + i % 5;"
    assert "m += (n & 15) // 4 + i // 3 + i % 5" in translate(body(statements))[0]
    assert "_div(n, 3) + _mod(n, 3)" in translate(body("m = n / 3 + n % 3;"))[0]


OPENMP = """
#if OPENMP
		native { #pragma omp parallel for
		}
#endif
		for (int i = 0; i < n; i++)
			x[i] = m;
"""


def test_pragma_is_directly_before_the_loop(translate):
    c = translate(body(OPENMP), "-D", "OPENMP")[1]
    assert "\t#pragma omp parallel for\n\tfor (int i = 0; i < n; i++)\n" in c
    assert "pragma" not in translate(body(OPENMP))[1].replace("#pragma once", "")


def test_native_blocks(translate, tmp_path):
    source = """
native {
	#define TEN 10
}
public class T
{
	native {
	int counter;
	}
	static int Helper() => 4;
	public static int F(int hidden)
	{
		int a;
		native {
			a = TEN + T_Helper();
			{ (void) hidden; }
		}
		if (a > 3)
			native { a++; }
		return a;
	}
}
"""
    (tmp_path / "n.fu").write_text(source)
    assert main(["-o", str(tmp_path / "n.c"), str(tmp_path / "n.fu")]) == 0
    c = (tmp_path / "n.c").read_text()
    assert c.index("\t#define TEN 10\n") < c.index('#include "n.h"')
    assert "struct T {\n\tint counter;\n};" in c
    assert "\n\t\t\ta = TEN + T_Helper();\n\t\t\t{ (void) hidden; }\n" in c
    assert "static int T_Helper(void)" in c
    if shutil.which("cc"):
        command = ["cc", "-Wall", "-Wextra", "-Werror", "-c", "-o", str(tmp_path / "n.o"), str(tmp_path / "n.c")]
        subprocess.run(command, check=True)


def test_native_python_keeps_its_indentation(tmp_path):
    source = body("\t\tnative {\n\t\tn += 1\n\t\t}\n\t\tx[0] = n;")
    (tmp_path / "n.fu").write_text(source)
    assert main(["-o", str(tmp_path / "n.py"), str(tmp_path / "n.fu")]) == 0
    assert "\t\tn += 1\n\t\tx[0] = n\n" in (tmp_path / "n.py").read_text()


def test_names_of_builtins_and_keywords(translate):
    """Locals and parameters must not hide what the generated code calls."""
    source = """
public static class T
{
	public static double F(double max, int len, float[]! array, int math, double register)
	{
		double min = Math.Max(max, len);
		int abs = 3;
		int floor = Math.Floor(min);
		array.Fill(1.5, 0, 2);
		string text = "abc";
		return Math.Min(min, Math.Abs(abs)) + floor + text.Length + Math.Sqrt(math) + register;
	}
	public static void Main()
	{
		float[2] a;
		Console.WriteLine(F(2.5, 1, a, 4, 0.5));
		Console.WriteLine(a[1]);
	}
}
"""
    python, _ = translate(source)
    names: dict = {"__name__": "t"}
    exec(compile(python, "t.py", "exec"), names)
    array = __import__("array").array("f", [0, 0])
    assert names["T"].f(2.5, 1, array, 4, 0.5) == 2.5 + 2 + 3 + 2 + 0.5
    assert list(array) == [1.5, 1.5]


def test_hidden_locals_get_their_own_name(translate):
    source = body("int y = 1; { int y = 2; m += y; } m += y; x[0] = m;")
    names: dict = {"__name__": "t"}
    exec(compile(translate(source)[0], "t.py", "exec"), names)
    x = [0]
    names["T"].f(0, x, 0)
    assert x == [3]


def test_match_for_switch(translate):
    python = translate(body("switch (n) { case 1: case -2: m = 1; break; default: m = 2; break; } x[0] = m;"))[0]
    assert "match n:\n\t\t\tcase 1 | -2:\n\t\t\t\tm = 1\n\t\t\tcase _:\n\t\t\t\tm = 2\n" in python


@needs_compiler
def test_float_constants_have_the_same_value(translate, tmp_path):
    """A literal is a double; it becomes a float where it is stored in one."""
    source = """
public static class T
{
	const float Tenth = 0.1;
	static bool Same(float a, float b) => a == b;
	public static int Main()
	{
		float x = 3;
		float f = 0.1;
		double exact = x * Tenth;
		float y = x * 0.1;
		return f != 0.1 && exact == 3 * 0.1 && Same(y, 0.3) ? 0 : 1;
	}
}
"""
    translate(source)
    subprocess.run(["cc", "-o", str(tmp_path / "t"), str(tmp_path / "t.c"), "-lm"], check=True)
    assert subprocess.run([str(tmp_path / "t")], check=False).returncode == 0


UNREAD = """
public class T
{
	public int Kept = 1;
	public T() { One(); }
	static int One() => 1;
	public int SetKept!(int kept, int n) { Kept = n; return n; }
	public int Length(int n)
	{
		if (n > 0) {
			int[3] a;
			return a.Length;
		}
		int[4] a;
		return a.Length;
	}
	public static int Settled(byte[] a, int n) { byte b = a[0]; return b >= 0 ? n : 0; }
	public string Spelled(int n) => "self";
}
public static class M
{
	public static void Main(string[] args)
	{
		Console.WriteLine(args.Length);
	}
}
"""


def test_c_is_told_of_what_is_not_read(translate):
    """What the program reads decides, not which words the generated code has; `translate` lets no warning pass."""
    c = translate(UNREAD)[1]
    assert "static void T_Construct(T *self)\n{\n\tself->kept = 1;\n\tT_One();\n}" in c
    assert "int T_SetKept(T *self, int kept, int n)\n{\n\t(void) kept;\n\tself->kept = n;\n" in c
    assert "\t\tint a[3];\n\t\t(void) a;\n\t\treturn 3;\n\t}\n\tint a[4];\n\t(void) a;\n\treturn 4;\n" in c
    assert "\tint b = a[0];\n\t(void) b;\n\treturn true ? n : 0;\n" in c
    assert '\t(void) self;\n\t(void) n;\n\treturn "self";\n' in c
    assert "(argv + 1);\n\t(void) args;\n" in c
