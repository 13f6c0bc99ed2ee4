"""What is mended in the code that the Fusion compiler writes; docs/pyfut.md has a program for each fault.

To add a case: a function that takes and returns the text of a file, under its language.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_REINTERPRETING = re.compile(r"new (Float32|Int32|Float64|BigInt64)Array\(new (?:Float|Int|BigInt)\d\dArray\(\[ ")
_REINTERPRET = """
const float32 = new Float32Array(1), int32 = new Int32Array(float32.buffer);
const float64 = new Float64Array(1), bigInt64 = new BigInt64Array(float64.buffer);
function toFloat32(x) { int32[0] = x; return float32[0]; }
function toInt32(x) { float32[0] = x; return int32[0]; }
function toFloat64(x) { bigInt64[0] = x; return float64[0]; }
function toBigInt64(x) { float64[0] = x; return bigInt64[0]; }
"""

_MONO_BITS = """
static class BitConverter
{
	[System.Runtime.InteropServices.StructLayout(System.Runtime.InteropServices.LayoutKind.Explicit)]
	struct Bits
	{
		[System.Runtime.InteropServices.FieldOffset(0)] public int Int;
		[System.Runtime.InteropServices.FieldOffset(0)] public float Single;
	}
	public static int SingleToInt32Bits(float x) => new Bits { Single = x }.Int;
	public static float Int32BitsToSingle(int x) => new Bits { Int = x }.Single;
	public static long DoubleToInt64Bits(double x) => System.BitConverter.DoubleToInt64Bits(x);
	public static double Int64BitsToDouble(long x) => System.BitConverter.Int64BitsToDouble(x);
}
"""


def mend_javascript(text: str) -> str:
    """Let `BitConverter` use the same arrays again: two new ones each time are three times slower in all."""
    return _REINTERPRETING.sub(r"to\1(", text).replace(" ]).buffer)[0]", ")") + _REINTERPRET


def mend_typescript(text: str) -> str:
    """Write constants of 64 bits as such, and mend what is as in JavaScript."""
    return mend_javascript(re.sub(r"(: bigint = -?\d+);", r"\1n;", text))


def mend_d(text: str) -> str:
    """Initialize arrays of floats, which are not numbers otherwise, and let tables of strings be passed."""
    text = re.sub(r"^(\s*(?:float|double)\[\d+\] \w+);", r"\1 = 0;", text, flags=re.MULTILINE)
    return re.sub(r"(?<!\w)string\[\] (?=\w+[,)])", "const(string)[] ", text)


def mend_csharp(text: str) -> str:
    """Take out what Mono, which stays at C# 7, does not know: marks of what may be null, and bits of a float."""
    text = text.replace("#nullable enable\n", "")
    text = re.sub(r"(?<=[\w\]])\?(?=,? \w+(?:\s*[=,;)]|\())", "", text)
    return re.sub(r"(?<=[\w\])])!(?=[.\[,);])", "", text) + _MONO_BITS


MENDS: dict[str, Callable[[str], str]] = {
    "cs": mend_csharp,
    "d": mend_d,
    "js": mend_javascript,
    "ts": mend_typescript,
}
"""By language."""
