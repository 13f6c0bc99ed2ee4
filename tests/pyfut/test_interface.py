"""The public interface of generated code, which is that of the reference compiler's output.

The expectations were read off the output of fut 3.3.7 for the same source.
"""

import ast
import re

import pytest

from pyfut.cli import main

SOURCE = """
/// Which way to go.
public enum Way { Left, RightTurn = 5, Back }

class Part { internal int Size = 1; }

/// A device.
///
/// With details and `code`:
/// * one item
/// * another item
public class Device
{
	/// Most parts.
	public const int MaxParts = 4;
	public const float Pi2 = 6.25;
	public const double Tiny = 1e-10;
	public const string Name = "dev";
	public const byte[] Table = { 1, 2 };
	public const Way Home = Way.RightTurn;
	const int Secret = 3;
	const int[] Hidden = { 1, 2, 3 };
	int FieldOne = 0;
	Part()[2] Parts;
	float[]? Weights = null;
	public Device() { }
	/// Sets weights.
	public void SetKvHeads!(
		/// The weights.
		float[]? weights,
		nint at,
		Way way)
	{
		Weights = weights;
		FieldOne = at + Hidden[0];
	}
	public float[]! Fill!(float[]! x, ushort[] u, byte[] b, byte[]! bw, sbyte[] s, long l, bool flag, double d) => x;
	public bool IsEmpty(string text, string? other = null, int count = 3) => text == "" && FieldOne == 0;
	public static double Q4KScale(short[] q, int[][4] rows, bool[] flags, uint from, Device device) => q[0] + Secret;
	internal int Inside() => Secret;
	int Lonely() => 1;
}
"""

PROTOTYPES = """\
Device *Device_New(void);
void Device_Delete(Device *self);
void Device_SetKvHeads(Device *self, float const *weights, ptrdiff_t at, Way way);
float *Device_Fill(Device *self, float *x, uint16_t const *u, uint8_t const *b, uint8_t *bw, int8_t const *s, int64_t l, bool flag, double d);
bool Device_IsEmpty(const Device *self, const char *text, const char *other, int count);
double Device_Q4KScale(int16_t const *q, int const (*rows)[4], bool const *flags, int from, const Device *device);
"""  # noqa: E501
DEFINES = """\
#define Device_MAX_PARTS 4
#define Device_PI2 6.25
#define Device_TINY 1e-10
#define Device_NAME "dev"
#define Device_HOME Way_RIGHT_TURN
"""


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    directory = tmp_path_factory.mktemp("interface")
    (directory / "device.fu").write_text(SOURCE)
    assert main(["-o", str(directory / "device.py,c"), str(directory / "device.fu")]) == 0
    return directory


def test_prototypes(generated):
    header = (generated / "device.h").read_text()
    lines = re.findall(r"^\w.*\);$", header, re.MULTILINE)
    assert lines == PROTOTYPES.splitlines()


def test_constants_and_types(generated):
    header = (generated / "device.h").read_text()
    assert [line for line in header.splitlines() if line.startswith("#define")] == DEFINES.splitlines()
    assert "static const uint8_t Device_TABLE[2] = { 1, 2 };" in header
    assert "typedef struct Device Device;" in header
    assert "struct Device {" not in header
    enum = header[header.index("typedef enum {") : header.index("} Way;")]
    assert re.findall(r"Way_\w+(?: = \d+)?", enum) == ["Way_LEFT", "Way_RIGHT_TURN = 5", "Way_BACK"]
    assert "Secret" not in header
    assert "SECRET" not in header


def test_private_functions_are_static(generated):
    source = (generated / "device.c").read_text()
    assert "static void Device_Construct(Device *self)" in source
    assert "Device_Lonely" not in source, "a function that nobody calls would be a warning"


def test_header_documentation(generated):
    header = (generated / "device.h").read_text()
    assert "/** Which way to go. */" in header
    assert "/** Most parts. */\n#define Device_MAX_PARTS 4" in header
    assert " * A device.\n *\n * With details and `code`:\n *\n * * one item\n * * another item\n */" in header
    assert " * Sets weights.\n * @param weights The weights.\n */\nvoid Device_SetKvHeads" in header


def test_python_names(generated):
    tree = ast.parse((generated / "device.py").read_text())
    classes = {c.name: c for c in tree.body if isinstance(c, ast.ClassDef)}
    assert list(classes) == ["Way", "_Part", "Device"]
    device = classes["Device"]
    methods = {
        m.name: [(a.arg, a.annotation and ast.unparse(a.annotation)) for a in m.args.args]
        for m in device.body
        if isinstance(m, ast.FunctionDef)
    }
    assert methods["set_kv_heads"] == [
        ("self", None),
        ("weights", "array.array | None"),
        ("at", "int"),
        ("way", "Way"),
    ]
    assert methods["fill"][1:] == [
        ("x", "array.array"),
        ("u", "array.array"),
        ("b", "bytearray | bytes"),
        ("bw", "bytearray"),
        ("s", "array.array"),
        ("l", "int"),
        ("flag", "bool"),
        ("d", "float"),
    ]
    assert [name for name, _ in methods["q4_k_scale"]] == ["q", "rows", "flags", "from_", "device"]
    assert set(methods) == {"__init__", "set_kv_heads", "fill", "is_empty", "q4_k_scale", "_inside", "_lonely"}
    constants = {t.id for s in device.body if isinstance(s, ast.Assign) for t in s.targets if isinstance(t, ast.Name)}
    assert constants == {"MAX_PARTS", "PI2", "TINY", "NAME", "TABLE", "HOME", "_HIDDEN"}


def test_python_documentation(generated):
    tree = ast.parse((generated / "device.py").read_text())
    device = next(c for c in tree.body if isinstance(c, ast.ClassDef) and c.name == "Device")
    assert ast.get_docstring(device) == "A device.\n\nWith details and `code`:\n\n* one item\n* another item"
    method = next(m for m in device.body if isinstance(m, ast.FunctionDef) and m.name == "set_kv_heads")
    assert ast.get_docstring(method) == "Sets weights.\n\n:param weights: The weights."


def test_python_values(generated, monkeypatch):
    monkeypatch.syspath_prepend(generated)
    import device

    d = device.Device()
    assert bytes([1, 2]) == device.Device.TABLE
    assert device.Device.HOME is device.Way.RIGHT_TURN
    assert d.is_empty("")
    assert type(d._parts[1]).__name__ == "_Part"
    import array

    d.set_kv_heads(array.array("f", [0.5]), 7, device.Way.BACK)
    assert (d._field_one, d._weights[0]) == (8, 0.5)
