"""The part of Fusion's standard library that this compiler knows: names, types and what is pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pyfut.checks.types import BOOL, DOUBLE, FLOAT, INT, LONG, NINT, STRING, STRING_STORAGE, Type
from pyfut.naming import words

CONSTANTS: dict[str, tuple[Type, float]] = {
    "Math.PI": (DOUBLE, math.pi),
    "Math.E": (DOUBLE, math.e),
    "Math.NaN": (FLOAT, math.nan),
    "Math.PositiveInfinity": (FLOAT, math.inf),
    "Math.NegativeInfinity": (FLOAT, -math.inf),
}


CLASSES = frozenset(("Math", "BitConverter", "Console"))


UNSUPPORTED = words(
    "Convert DateTimeOffset Encoding Environment JsonElement JsonValueKind Lock Match Regex"
    " RegexOptions StringWriter TextWriter UTF8Encoding List Queue Stack HashSet SortedSet Dictionary"
    " SortedDictionary OrderedDictionary PriorityQueue"
)
"""Names of the standard library that are recognised only in order to be refused by name."""


@dataclass(frozen=True)
class Signature:
    """Parameters and result of a method; a result of None is the promoted type of the arguments."""

    parameters: tuple[Type, ...]
    result: Type | None
    required: int = -1

    @property
    def minimum(self) -> int:
        """How many arguments must be given."""
        return len(self.parameters) if self.required < 0 else self.required


def _floating(count: int = 1) -> Signature:
    """Return a signature over `float` or `double`, whichever the arguments need."""
    return Signature((DOUBLE,) * count, None)


NUMERIC = frozenset(("Math.Abs", "Math.Clamp", "Math.Max", "Math.Min"))
"""Methods that also exist for integers and then return an integer."""


STATIC_METHODS: dict[str, Signature] = {
    **{
        f"Math.{name}": _floating()
        for name in words("Abs Acos Asin Atan Cbrt Cos Cosh Exp Log Log10 Log2 Sin Sinh Sqrt Tan Tanh")
    },
    **{f"Math.{name}": _floating(2) for name in ("Atan2", "Max", "Min", "Pow")},
    **{f"Math.{name}": _floating(3) for name in ("Clamp", "FusedMultiplyAdd")},
    **{f"Math.{name}": Signature((DOUBLE,), LONG) for name in ("Ceiling", "Floor", "Round", "Truncate")},
    **{f"Math.{name}": Signature((DOUBLE,), BOOL) for name in ("IsFinite", "IsInfinity", "IsNaN")},
    "BitConverter.Int32BitsToSingle": Signature((INT,), FLOAT),
    "BitConverter.Int64BitsToDouble": Signature((LONG,), DOUBLE),
    "BitConverter.SingleToInt32Bits": Signature((FLOAT,), INT),
    "BitConverter.DoubleToInt64Bits": Signature((DOUBLE,), LONG),
}


ROUNDING = frozenset(("Math.Ceiling", "Math.Floor", "Math.Round", "Math.Truncate"))
"""Methods whose integer result takes whatever integer type it is converted to."""


STRING_METHODS: dict[str, Signature] = {
    "Contains": Signature((STRING,), BOOL),
    "StartsWith": Signature((STRING,), BOOL),
    "EndsWith": Signature((STRING,), BOOL),
    "IndexOf": Signature((STRING,), INT),
    "LastIndexOf": Signature((STRING,), INT),
    "Substring": Signature((NINT, NINT), STRING_STORAGE, required=1),
    "Replace": Signature((STRING, STRING), STRING_STORAGE),
    "ToLower": Signature((), STRING_STORAGE),
    "ToUpper": Signature((), STRING_STORAGE),
}


CONSOLE_METHODS = frozenset(("Console.Write", "Console.WriteLine", "Console.Error.Write", "Console.Error.WriteLine"))
