"""The C target: names, types and constants."""

from __future__ import annotations

import math
import re

from pyfut.ast import (
    ClassDecl,
    ConstDecl,
    EnumDecl,
    EnumValue,
    MethodDecl,
    Program,
    Value,
    Var,
)
from pyfut.c_runtime import HELPERS, typed_helper
from pyfut.errors import Diagnostics
from pyfut.generator import Generator
from pyfut.naming import camel_case, escape, upper_case, words
from pyfut.types import (
    BOOL,
    BYTE,
    DOUBLE,
    FLOAT,
    INT,
    LONG,
    NINT,
    SBYTE,
    SHORT,
    UINT,
    USHORT,
    VOID,
    ArrayType,
    ClassType,
    EnumType,
    Kind,
    StringType,
    Type,
)

PRECEDENCE = {
    "||": 4,
    "&&": 5,
    "|": 6,
    "^": 7,
    "&": 8,
    "==": 9,
    "!=": 9,
    **dict.fromkeys(("<", "<=", ">", ">="), 10),
    "<<": 11,
    ">>": 11,
    "+": 12,
    "-": 12,
    "*": 13,
    "/": 13,
    "%": 13,
}
SELECT, EQUALITY, ADD, UNARY, POSTFIX = 3, 9, 12, 14, 15
RESERVED = words(
    "asm assert auto bool break byte case char class const continue default do double else enum"
    " extern false float for foreach goto if inline int long nullptr register restrict return short"
    " signed sizeof static struct switch true typedef typeof union unsigned void volatile while"
)
CALLED = words(
    "abort abs acos acosf asin asinf assert atan atan2 atan2f atanf calloc cbrt cbrtf ceil ceilf cos cosf cosh coshf"
    " exp expf fabs fabsf floor floorf fma fmaf fmax fmaxf fmin fminf fprintf fputc fputs free isfinite isinf isnan"
    " llabs log log10 log10f log2 log2f logf malloc memcmp memcpy memmove memset pow powf printf putchar puts qsort"
    " round roundf sin sinf sinh sinhf sqrt sqrtf strcmp strlen strncmp strstr tan tanf tanh tanhf trunc truncf argc"
    " argv stderr stdout"
)
"""Names that generated code uses; variables called so get another name."""
NARROW = {BYTE: "uint8_t", SBYTE: "int8_t", SHORT: "int16_t", USHORT: "uint16_t"}
SCALARS: dict[Type, str] = {
    **dict.fromkeys((BYTE, SBYTE, SHORT, USHORT, INT, UINT), "int"),
    NINT: "ptrdiff_t",
    LONG: "int64_t",
    FLOAT: "float",
    DOUBLE: "double",
    BOOL: "bool",
    VOID: "void",
}
MATH = {
    "Acos": "acos", "Asin": "asin", "Atan": "atan", "Atan2": "atan2", "Cbrt": "cbrt", "Ceiling": "ceil", "Cos": "cos",
    "Cosh": "cosh", "Exp": "exp", "Floor": "floor", "FusedMultiplyAdd": "fma", "Log": "log", "Log10": "log10",
    "Log2": "log2", "Max": "fmax", "Min": "fmin", "Pow": "pow", "Round": "round", "Sin": "sin", "Sinh": "sinh",
    "Sqrt": "sqrt", "Tan": "tan", "Tanh": "tanh", "Truncate": "trunc",
}  # fmt: skip
CLASSIFIERS = {"IsFinite": "isfinite", "IsInfinity": "isinf", "IsNaN": "isnan"}
BITS = {
    "Int32BitsToSingle": ("FuFloatBits", "bits", "value"),
    "Int64BitsToDouble": ("FuDoubleBits", "bits", "value"),
    "SingleToInt32Bits": ("FuFloatBits", "value", "bits"),
    "DoubleToInt64Bits": ("FuDoubleBits", "value", "bits"),
}


class CTypes(Generator):
    """Turns names, types and constants into C, and keeps the lists of what the file needs."""

    def __init__(self, program: Program, diagnostics: Diagnostics, prefix: str) -> None:
        super().__init__(program, diagnostics, prefix)
        self.includes: set[str] = set()
        self.helpers: dict[str, str] = {}
        self.method: MethodDecl | None = None
        self.owner: ClassDecl | None = None
        self.hoistable = True
        """Whether lines may be written before the expression."""
        self.declarable = True
        """Whether at least declarations may be written there, as for the condition of a loop."""
        self.cleanups: list[list[str]] = []
        """For each open scope, what has to be done at its end, in order of creation."""
        self.temporaries = 0

    # --- helpers of the generated code ---

    def need(self, name: str) -> str:
        """Request a runtime function; return its name."""
        helper = HELPERS[name]
        for other in helper.needs:
            self.need(other)
        self.includes.update(helper.includes)
        self.helpers.setdefault(name, helper.text)
        return name

    def need_typed(self, operation: str, type_: str) -> str:
        """Request a runtime function for one element type; return its name."""
        name, text = typed_helper(operation, type_)
        self._include_type(type_)
        self.helpers.setdefault(name, text)
        return name

    def _include_type(self, type_: str) -> None:
        if type_.startswith(("int", "uint")) and type_.endswith("_t"):
            self.includes.add("stdint.h")
        elif type_ == "ptrdiff_t":
            self.includes.add("stddef.h")
        elif type_ == "bool":
            self.includes.add("stdbool.h")

    def null(self) -> str:
        """Return `NULL`."""
        self.includes.add("stddef.h")
        return "NULL"

    # --- names ---

    def type_name(self, decl: ClassDecl | EnumDecl) -> str:
        """Return the name of a class or an enumeration."""
        return f"{self.prefix}{decl.name}"

    def method_name(self, method: MethodDecl) -> str:
        """Return the name of the function that implements a method."""
        return f"{self.type_name(method.owner)}_{method.name}"

    def const_name(self, const: ConstDecl) -> str:
        """Return the name of a constant."""
        name = upper_case(const.name)
        return name if const.method is not None else f"{self.type_name(const.owner)}_{name}"

    @staticmethod
    def local_name(name: str) -> str:
        """Return the name of a variable or a field."""
        name = camel_case(name)
        return f"{name}_" if name in RESERVED else name

    def var_name(self, var: Var) -> str:
        """Return the name of a local variable or a parameter; `self` is taken in methods."""
        name = self.local_name(var.name)
        if name in CALLED:
            return f"{name}_"
        instance = self.method is not None and not self.method.is_static
        return f"{name}_" if name == "self" and instance else name

    # --- types ---

    def element_type(self, type_: Type) -> str:
        """Return the C type of an element of an array."""
        return NARROW[type_] if type_ in NARROW else self.declaration(type_, "").strip()

    def declaration(self, type_: Type, name: str) -> str:
        """Return the declaration of something of the given type: a variable, or a function with its parameters."""
        return self._declare(type_, name, element=False, const=False)

    def _declare(self, type_: Type, name: str, element: bool, const: bool) -> str:
        if isinstance(type_, ArrayType):
            if type_.kind is Kind.STORAGE:
                return self._declare(type_.element, f"{name}[{type_.length}]", True, const)
            pointer = f"*{'const ' if const else ''}{name}"
            if isinstance(type_.element, ArrayType) and type_.element.kind is Kind.STORAGE:
                pointer = f"({pointer})"
            return self._declare(type_.element, pointer, True, type_.kind is Kind.READ)
        if isinstance(type_, ClassType) and type_.kind is not Kind.STORAGE:
            qualifier = "const " if type_.kind is Kind.READ else ""
            return f"{qualifier}{self.type_name(type_.decl)} *{'const ' if const else ''}{name}"
        if isinstance(type_, StringType):
            return f"{'' if type_.storage else 'const '}char *{'const ' if const else ''}{name}"
        if isinstance(type_, (ClassType, EnumType)):
            base = self.type_name(type_.decl)
        else:
            base = NARROW[type_] if element and type_ in NARROW else SCALARS[type_]
        self._include_type(base)
        return f"{base}{' const' if const else ''} {name}".rstrip()

    # --- constants ---

    def const_value(self, value: Value, type_: Type) -> str:
        """Return a compile-time value of a constant of the given type."""
        if isinstance(value, EnumValue):
            return f"{self.type_name(value.owner)}_{upper_case(value.name)}"
        if isinstance(value, list):
            assert isinstance(type_, ArrayType)
            items = [self.const_value(item, type_.element) for item in value]
            if type_.element == FLOAT:
                items = [f"{item}f" if re.search(r"\d[.e]", item) else item for item in items]
            return "{ " + ", ".join(items or ["0"]) + " }"
        if isinstance(value, bool):
            self.includes.add("stdbool.h")
            return "true" if value else "false"
        if isinstance(value, str):
            return escape(value)
        if isinstance(value, float):
            return self._float(value)
        assert isinstance(value, int)
        if isinstance(type_, EnumType):
            return f"({self.type_name(type_.decl)}) {value}"
        if value in (INT.minimum, LONG.minimum):
            return f"(-{-(value + 1)} - 1)"
        return str(value)

    def _float(self, value: float) -> str:
        if math.isfinite(value):
            return repr(value)
        self.includes.add("math.h")
        return "NAN" if math.isnan(value) else "INFINITY" if value > 0 else "-INFINITY"
