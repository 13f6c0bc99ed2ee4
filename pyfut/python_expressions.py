"""The Python target: names, types and expressions."""

from __future__ import annotations

import keyword
import math
import re

from pyfut.ast import (
    Assign,
    Binary,
    BuiltinMember,
    Call,
    ClassDecl,
    ConstDecl,
    EnumDecl,
    EnumValue,
    Expr,
    FieldDecl,
    Index,
    Interpolated,
    Interpolation,
    Is,
    Literal,
    Member,
    MethodDecl,
    Name,
    New,
    Postfix,
    Program,
    Resource,
    Select,
    Unary,
    Value,
    Var,
    Visibility,
)
from pyfut.constants import wrap
from pyfut.errors import Diagnostics
from pyfut.generator import Generator, needs_clarity
from pyfut.naming import escape, snake_case, upper_case, words
from pyfut.types import (
    BOOL,
    BYTE,
    INT,
    NULL,
    STRING_STORAGE,
    UINT,
    USHORT,
    VOID,
    ArrayType,
    ClassType,
    EnumType,
    Floating,
    Integer,
    Kind,
    StringType,
    Type,
    is_reference,
    is_storage,
)
from pyfut.walk import calls_methods, mentions, root, steps

TYPE_CODES = {
    "sbyte": "b",
    "short": "h",
    "ushort": "H",
    "int": "i",
    "uint": "i",
    "nint": "q",
    "long": "q",
    "float": "f",
    "double": "d",
}
PRECEDENCE = {
    "||": 1,
    "&&": 2,
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), 4),
    "|": 5,
    "^": 6,
    "&": 7,
    "<<": 8,
    ">>": 8,
    "+": 9,
    "-": 9,
    "*": 10,
    "/": 10,
    "%": 10,
}
SELECT, NOT, COMPARISON, UNARY, PRIMARY = 0, 3, 4, 11, 13
SPELLING = {"&&": "and", "||": "or"}
RESERVED = frozenset(keyword.kwlist) | {"dict", "len", "list", "str", "self"}
CALLED = words(
    "abs array bisect bool bytearray bytes float int isinstance map math max min ord print range"
    " sorted struct sys round enum abc"
)
"""Names that generated code uses; local variables called so get another name."""
MATH = {
    "Acos": "acos", "Asin": "asin", "Atan": "atan", "Atan2": "atan2", "Ceiling": "ceil", "Cos": "cos",
    "Cosh": "cosh", "Exp": "exp", "Floor": "floor", "IsFinite": "isfinite", "IsInfinity": "isinf", "IsNaN": "isnan",
    "Log": "log", "Log10": "log10", "Log2": "log2", "Pow": "pow", "Sin": "sin", "Sinh": "sinh", "Sqrt": "sqrt",
    "Tan": "tan", "Tanh": "tanh", "Truncate": "trunc",
}  # fmt: skip
HELPER_METHODS = {"Round": "_round", "Cbrt": "_cbrt", "FusedMultiplyAdd": "_fma"}
BIT_FORMATS = {
    "Int32BitsToSingle": ("f", "I", 0xFFFFFFFF),
    "Int64BitsToDouble": ("d", "Q", 0xFFFFFFFFFFFFFFFF),
    "SingleToInt32Bits": ("i", "f", 0),
    "DoubleToInt64Bits": ("q", "d", 0),
}


class PythonExpressions(Generator):
    """Turns expressions into Python."""

    def __init__(self, program: Program, diagnostics: Diagnostics, prefix: str) -> None:
        super().__init__(program, diagnostics, prefix)
        self.imports: set[str] = set()
        self.helpers: set[str] = set()
        self.resources: dict[str, bytes] = {}
        self.owner: ClassDecl | None = None
        self.method: MethodDecl | None = None
        self.declared: set[str] = set()
        """Local variables that already have an annotation."""
        self.jumps: list[str] = []
        self.continuing: list[list[str]] = []
        self.nonnegative: set[Var] = set()
        self.planned: dict[Expr, str] = {}
        """How each `++` and `--` of the statement is written: before, after or inside it."""
        self.before: list[str] = []
        self.after: list[str] = []

    # --- names ---

    def type_name(self, decl: ClassDecl | EnumDecl) -> str:
        """Return the name of a class or an enumeration."""
        return decl.name if decl.public else f"_{decl.name}"

    def exception_name(self, name: str) -> str:
        """Return the name of a user-defined exception class."""
        return self.type_name(next(decl for decl in self.program.classes if decl.name == name))

    def member_name(self, member: FieldDecl | MethodDecl) -> str:
        """Return the name of a field or a method."""
        name = snake_case(member.name)
        if member.visibility is not Visibility.PUBLIC:
            return f"_{name}"
        return f"{name}_" if name in RESERVED and name not in ("dict", "list", "str", "self") else name

    def const_name(self, const: ConstDecl) -> str:
        """Return the name of a constant; a local one is called after its method."""
        name = upper_case(const.name)
        if const.method is not None:
            ordinal = f"_{const.ordinal + 1}" if const.ordinal else ""
            return f"_{upper_case(const.method.name)}_{name}{ordinal}"
        return name if const.visibility is Visibility.PUBLIC else f"_{name}"

    def var_name(self, var: Var) -> str:
        """Return the name of a local variable."""
        name = snake_case(var.name)
        if name in RESERVED or (not var.is_parameter and name in CALLED):
            name += "_"
        return f"{name}{var.shadow + 1}" if var.shadow else name

    def enum_member(self, value: EnumValue) -> str:
        """Return the name of a member of an enumeration, without the enumeration."""
        return upper_case(value.name)

    def _is_parameter(self, name: str) -> bool:
        return self.method is not None and any(self.var_name(p) == name for p in self.method.parameters)

    def called(self, name: str) -> str:
        """Return the name of a builtin function, also where a parameter hides it."""
        return f"{self.module('builtins')}.{name}" if self._is_parameter(name) else name

    def module(self, name: str) -> str:
        """Import a module; return its name, which is another one where a parameter hides it."""
        if not self._is_parameter(name):
            self.imports.add(name)
            return name
        self.imports.add(f"{name} as _{name}")
        return f"_{name}"

    # --- types ---

    @staticmethod
    def is_string_storage(type_: Type) -> bool:
        """Whether the type is `string()`."""
        return type_ == STRING_STORAGE

    def annotation(self, type_: Type) -> str:
        """Return a type annotation."""
        text = self._plain_annotation(type_)
        return f"{text} | None" if type_.nullable else text

    def _plain_annotation(self, type_: Type) -> str:
        if type_ == VOID:
            return "None"
        if isinstance(type_, Integer):
            return "int"
        if isinstance(type_, Floating):
            return "float"
        if isinstance(type_, StringType):
            return "str"
        if isinstance(type_, (EnumType, ClassType)):
            return self.type_name(type_.decl)
        if isinstance(type_, ArrayType):
            if type_.element == BYTE:
                return "bytearray | bytes" if type_.kind is Kind.READ else "bytearray"
            if isinstance(type_.element, (Integer, Floating)):
                self.imports.add("array")
                return "array.array"
            return f"list[{self.annotation(type_.element)}]"
        return "bool"

    def storage(self, type_: Type) -> str:
        """Return an expression that creates a new object, array or string."""
        if isinstance(type_, ArrayType):
            return self.new_array(type_.element, str(type_.length))
        if isinstance(type_, ClassType):
            return f"{self.type_name(type_.decl)}()"
        return '""'

    def new_array(self, element: Type, length: str) -> str:
        """Return an expression that creates an array."""
        if element == BYTE:
            return f"bytearray({length})"
        if is_storage(element):
            return f"[{self.storage(element)} for _ in {self.called('range')}({length})]"
        return self.filled(element, self._default(element), length)

    def filled(self, element: Type, value: str, length: str) -> str:
        """Return an expression that creates an array of equal elements."""
        times = length if re.fullmatch(r"\w+", length) else f"({length})"
        if element == BYTE:
            return f"bytearray({length})" if value == "0" else f"bytearray([{value}]) * {times}"
        if isinstance(element, (Integer, Floating)):
            return f'{self.module("array")}.array("{TYPE_CODES[element.name]}", [{value}]) * {times}'
        return f"[{value}] * {times}"

    def _default(self, type_: Type) -> str:
        if isinstance(type_, (Integer, Floating)):
            return "0"
        if type_ == BOOL:
            return "False"
        if isinstance(type_, StringType):
            return "None" if type_.nullable else '""'
        if isinstance(type_, EnumType):
            return f"{self.type_name(type_.decl)}.{self.enum_member(type_.decl.values[0])}"
        return "None"

    def const_value(self, value: Value, type_: Type) -> str:
        """Return a compile-time value."""
        if isinstance(value, EnumValue):
            return f"{self.type_name(value.owner)}.{self.enum_member(value)}"
        if isinstance(value, list):
            assert isinstance(type_, ArrayType)
            items = ", ".join(self.const_value(item, type_.element) for item in value)
            if type_.element == BYTE:
                return f"bytes([{items}])"
            if isinstance(type_.element, (Integer, Floating)):
                return f'{self.module("array")}.array("{TYPE_CODES[type_.element.name]}", [{items}])'
            return f"[{items}]"
        if isinstance(value, str):
            return escape(value)
        if isinstance(type_, EnumType):
            return f"{self.type_name(type_.decl)}({value})"
        if isinstance(value, float) and not math.isfinite(value):
            module = self.module("math")
            return f"{module}.nan" if math.isnan(value) else f"{'-' if value < 0 else ''}{module}.inf"
        return repr(value)

    # --- increments inside expressions ---

    def plan_steps(self, node: Expr, in_condition: bool = False) -> None:
        """Decide how the `++` and `--` below `node` are written.

        One may be taken out of its statement if nothing else there reads or modifies the same variable. A local
        variable can also be assigned inside an expression.
        """
        found = steps(node)
        opaque = calls_methods(node)
        for step in found:
            symbol = root(step.operand)
            local = isinstance(step.operand, Name) and isinstance(symbol, Var)
            alone = mentions(node, symbol) == 1 and (local or not opaque) and not steps(step.operand)
            if alone and not (in_condition and local):
                self.planned[step] = "around"
            elif local:
                self.planned[step] = "inside"
            else:
                self.diagnostics.unsupported(
                    step.position, f"'{step.operator}' of something used elsewhere in the same expression"
                )
                self.planned[step] = "around"

    def take_steps(self) -> tuple[list[str], list[str]]:
        """Return the lines to be written before and after the statement, and forget them."""
        taken = self.before, self.after
        self.before, self.after = [], []
        self.planned = {}
        return taken

    @staticmethod
    def needs_statements(condition: Expr) -> bool:
        """Whether a condition increments something that an expression cannot assign in Python."""
        return any(
            not isinstance(step.operand, Name) or not isinstance(step.operand.symbol, Var) for step in steps(condition)
        )

    def _step(self, expr: Unary | Postfix) -> tuple[str, int]:
        operand = self.expr(expr.operand)
        sign = expr.operator[0]
        if self.planned.get(expr, "inside") == "around":
            (self.before if isinstance(expr, Unary) else self.after).append(f"{operand} {sign}= 1")
            return operand, PRIMARY
        assignment = f"({operand} := {operand} {sign} 1)"
        if isinstance(expr, Unary):
            return assignment, PRIMARY
        return f"{assignment} {'-' if sign == '+' else '+'} 1", PRECEDENCE["+"]

    # --- expressions ---

    def expr(self, expr: Expr, minimum: int = 0) -> str:
        """Return an expression, in parentheses if it binds less tightly than `minimum`."""
        text, precedence = self._dispatch(expr)
        return f"({text})" if precedence < minimum else text

    def coerce(self, expr: Expr, target: Type) -> str:
        """Return an expression whose value is stored in a variable of the given type."""
        value = expr.value
        if target in (INT, UINT) and isinstance(value, int) and not isinstance(value, bool):
            wrapped = wrap(value, INT)
            if wrapped != value:
                return str(wrapped)
        return self.expr(expr)

    def _dispatch(self, expr: Expr) -> tuple[str, int]:
        if isinstance(expr, Literal):
            return self._literal(expr)
        if isinstance(expr, (Name, Member)):
            return self._named(expr)
        if isinstance(expr, Index):
            text = f"{self.expr(expr.object, PRIMARY)}[{self.expr(expr.index)}]"
            if isinstance(expr.object.type, StringType):
                return f"{self.called('ord')}({text})", PRIMARY
            return text, PRIMARY
        if isinstance(expr, Call):
            return self._call(expr)
        if isinstance(expr, (Unary, Postfix)):
            return self._unary(expr)
        if isinstance(expr, Binary):
            return self._binary(expr)
        if isinstance(expr, Select):
            condition, on_true = self.expr(expr.condition, 1), self.expr(expr.on_true, 1)
            return f"{on_true} if {condition} else {self.expr(expr.on_false)}", SELECT
        if isinstance(expr, New):
            return self._new(expr)
        if isinstance(expr, Is):
            return self._is(expr)
        if isinstance(expr, Interpolated):
            return self._interpolated(expr), PRIMARY
        if isinstance(expr, Resource):
            return self._resource(expr), PRIMARY
        assert isinstance(expr, Assign)
        return self.unsupported(expr, "assignment inside an expression", "Python"), PRIMARY

    def _resource(self, expr: Resource) -> str:
        name = f"_RESOURCE_{re.sub(r'[^A-Za-z0-9]', '_', str(expr.name.value)).upper()}"
        self.resources[name] = expr.content
        return name

    def _literal(self, expr: Literal) -> tuple[str, int]:
        if isinstance(expr.literal, str):
            return escape(expr.literal), PRIMARY
        if expr.literal is None or isinstance(expr.literal, bool):
            return repr(expr.literal), PRIMARY
        return str(expr.literal) if expr.text.startswith("'") else expr.text, PRIMARY

    def _named(self, expr: Name | Member) -> tuple[str, int]:
        symbol = expr.symbol
        if isinstance(symbol, ConstDecl):
            if isinstance(symbol.type, ArrayType):
                return f"{self.type_name(symbol.owner)}.{self.const_name(symbol)}", PRIMARY
            return self._value(expr.value, symbol.type)
        if isinstance(symbol, EnumValue):
            return self.const_value(symbol, expr.type), PRIMARY
        if isinstance(symbol, BuiltinMember):
            if symbol.name == "Length" and isinstance(expr, Member) and not isinstance(expr.value, int):
                return f"{self.called('len')}({self.expr(expr.object)})", PRIMARY
            return self._value(expr.value, expr.type)
        if isinstance(symbol, Var):
            return self.var_name(symbol), PRIMARY
        if isinstance(expr, Name):
            if expr.name in ("this", "base"):
                return "self", PRIMARY
            assert isinstance(symbol, FieldDecl)
            return f"self.{self.member_name(symbol)}", PRIMARY
        assert isinstance(symbol, FieldDecl)
        return f"{self.expr(expr.object, PRIMARY)}.{self.member_name(symbol)}", PRIMARY

    def _value(self, value: Value, type_: Type) -> tuple[str, int]:
        text = self.const_value(value, type_)
        return text, UNARY if text.startswith("-") else PRIMARY

    def _unary(self, expr: Unary | Postfix) -> tuple[str, int]:
        if expr.operator in ("++", "--"):
            return self._step(expr)
        if expr.operator == "!":
            return f"not {self.expr(expr.operand, NOT)}", NOT
        operand = self.expr(expr.operand, UNARY)
        space = " " if operand.startswith(expr.operator) else ""
        return f"{expr.operator}{space}{operand}", UNARY

    def _binary(self, expr: Binary) -> tuple[str, int]:
        operator = expr.operator
        integers = isinstance(expr.left.type, Integer) and isinstance(expr.right.type, Integer)
        if operator in ("/", "%") and integers and not self._both_nonnegative(expr):
            return f"{self._truncating(operator)}({self.expr(expr.left)}, {self.expr(expr.right)})", PRIMARY
        precedence = PRECEDENCE[operator]
        if operator in ("<", "<=", ">", ">=") and isinstance(expr.left.type, EnumType):
            left, right = (f"{self.expr(side, PRIMARY)}.value" for side in (expr.left, expr.right))
            return f"{left} {operator} {right}", precedence
        left = self._operand(expr, expr.left, precedence + (precedence == COMPARISON))
        right = self._operand(expr, expr.right, precedence + 1)
        spelling = SPELLING.get(operator, operator)
        if operator == "/" and integers:
            spelling = "//"
        if operator in ("==", "!=") and self._compares_identity(expr):
            spelling = "is" if operator == "==" else "is not"
        return f"{left} {spelling} {right}", precedence

    def _operand(self, expr: Binary, operand: Expr, minimum: int) -> str:
        if needs_clarity(expr.operator, operand):
            minimum = PRIMARY
        return self.expr(operand, minimum)

    @staticmethod
    def _compares_identity(expr: Binary) -> bool:
        left, right = expr.left.type, expr.right.type
        return NULL in (left, right) or isinstance(left, (ClassType, ArrayType)) or is_reference(right)

    def compound(self, expr: Assign) -> str:
        """Return an assignment such as `a += b`."""
        target, source = self.expr(expr.target), self.expr(expr.source)
        operator = expr.operator
        if operator in ("/=", "%=") and isinstance(expr.target.type, Integer):
            if not self._both_nonnegative(Binary(expr.position, operator[0], expr.target, expr.source)):
                return f"{target} = {self._truncating(operator[0])}({target}, {source})"
            return f"{target} {'//=' if operator == '/=' else '%='} {source}"
        return f"{target} {operator} {source}"

    def _truncating(self, operator: str) -> str:
        """Return the function for `/` or `%` of integers that may be negative."""
        helper = "_div" if operator == "/" else "_mod"
        self.helpers.add(helper)
        return helper

    # --- signs ---

    def _both_nonnegative(self, expr: Binary) -> bool:
        return self.is_nonnegative(expr.left) and self.is_nonnegative(expr.right)

    def is_nonnegative(self, expr: Expr) -> bool:
        """Whether an integer is known not to be negative, so that Python's `//` and `%` agree with other languages."""
        if isinstance(expr.value, int):
            return expr.value >= 0
        if expr.type in (BYTE, USHORT, UINT):
            return True
        if isinstance(expr, Binary):
            left, right = self.is_nonnegative(expr.left), self.is_nonnegative(expr.right)
            if expr.operator == "&":
                return left or right
            if expr.operator in ("%", ">>", "<<"):
                return left
            return left and right and expr.operator in ("+", "*", "/", "|", "^")
        if isinstance(expr, Select):
            return self.is_nonnegative(expr.on_true) and self.is_nonnegative(expr.on_false)
        if isinstance(expr, Name):
            return isinstance(expr.symbol, Var) and expr.symbol in self.nonnegative
        return isinstance(expr, Member) and isinstance(expr.symbol, BuiltinMember)

    # --- objects ---

    def _new(self, expr: New) -> tuple[str, int]:
        type_ = expr.type
        if isinstance(type_, ArrayType):
            length = expr.written.brackets[0].length
            assert length is not None
            return self.new_array(type_.element, self.expr(length)), PRECEDENCE["*"]
        assert isinstance(type_, ClassType)
        return f"{self.type_name(type_.decl)}()", PRIMARY

    def _is(self, expr: Is) -> tuple[str, int]:
        decl = next(d for d in self.program.classes if d.name == expr.written.name)
        subject = self.expr(expr.object)
        if expr.variable is not None:
            subject = f"{self.var_name(expr.variable)} := {subject}"
        return f"{self.called('isinstance')}({subject}, {self.type_name(decl)})", PRIMARY

    def _interpolated(self, expr: Interpolated) -> str:
        """Return an f-string, or a call of `format` where an expression contains quotes."""
        values = [self.expr(part.expr) for part in expr.parts if isinstance(part, Interpolation)]
        inline = not any(c in value for value in values for c in "\"'\\")
        remaining = iter(values)
        text = ""
        for part in expr.parts:
            if isinstance(part, str):
                text += escape(part)[1:-1].replace("{", "{{").replace("}", "}}")
            else:
                text += f"{{{next(remaining) if inline else ''}{self._format(part)}}}"
        return f'f"{text}"' if inline else f'"{text}".format({", ".join(values)})'

    @staticmethod
    def _format(part: Interpolation) -> str:
        spec = ""
        letter, digits = part.format[:1], part.format[1:]
        if part.width:
            align = "<" if part.width < 0 else ">"
            spec = f"{align}{abs(part.width)}"
        if letter in ("X", "x"):
            spec += f"0{digits}{letter}" if digits else letter
        elif letter in ("D", "d"):
            spec += f"0{digits}d" if digits else "d"
        elif letter:
            spec += f".{digits or 6}{letter}"
        return f":{spec}" if spec else ""

    # --- calls ---

    def _call(self, expr: Call) -> tuple[str, int]:
        if expr.builtin:
            return self._builtin(expr)
        method = expr.method
        assert method is not None
        arguments = [self.coerce(a, p.type) for a, p in zip(expr.arguments, method.parameters, strict=False)]
        name = self.member_name(method)
        target = expr.target
        if method.is_static:
            holder = self.type_name(method.owner)
        elif isinstance(target, Name):
            holder = "self"
        elif isinstance(target.object, Name) and target.object.name == "base":
            holder = self.type_name(method.owner)
            arguments = ["self", *arguments]
        else:
            holder = self.expr(target.object, PRIMARY)
        return f"{holder}.{name}({', '.join(arguments)})", PRIMARY

    def _builtin(self, expr: Call) -> tuple[str, int]:
        group, _, name = expr.builtin.partition(".")
        if group == "Math":
            return self._math(expr, name)
        if group == "BitConverter":
            return self._bits(expr, name)
        if group == "Console":
            return self._print(expr, name)
        if group == "string":
            return self._string_method(expr, name)
        if group == "enum":
            return self._enum_method(expr, name)
        assert isinstance(expr.target, Member)
        array = self.expr(expr.target.object, PRIMARY)
        if name == "Contains":
            return f"{self.expr(expr.arguments[0], COMPARISON + 1)} in {array}", COMPARISON
        assert name == "BinarySearch"
        self._refuse_side_effects(expr, name)
        arguments = [array, self.expr(expr.arguments[0])]
        if len(expr.arguments) == 3:
            start, count = expr.arguments[1:]
            arguments += [self.expr(start), self.end(start, count)]
        return f"{self.module('bisect')}.bisect_left({', '.join(arguments)})", PRIMARY

    def _math(self, expr: Call, name: str) -> tuple[str, int]:
        arguments = [self.expr(a) for a in expr.arguments]
        joined = ", ".join(arguments)
        if name in ("Max", "Min", "Abs"):
            return f"{self.called(name.lower())}({joined})", PRIMARY
        if name == "Clamp":
            value, low, high = arguments
            return f"{self.called('min')}({self.called('max')}({value}, {low}), {high})", PRIMARY
        if name in HELPER_METHODS:
            self.helpers.add(HELPER_METHODS[name])
            return f"{HELPER_METHODS[name]}({joined})", PRIMARY
        return f"{self.module('math')}.{MATH[name]}({joined})", PRIMARY

    def _bits(self, expr: Call, name: str) -> tuple[str, int]:
        module = self.module("struct")
        result, argument, mask = BIT_FORMATS[name]
        value = self.expr(expr.arguments[0], PRECEDENCE["&"] + 1) if mask else self.expr(expr.arguments[0])
        masked = f"{value} & {mask:#x}" if mask else value
        return f'{module}.unpack("<{result}", {module}.pack("<{argument}", {masked}))[0]', PRIMARY

    def _print(self, expr: Call, name: str) -> tuple[str, int]:
        arguments = [self.expr(a) for a in expr.arguments]
        if name.endswith("Write"):
            arguments.append('end=""')
        if name.startswith("Error."):
            arguments.append(f"file={self.module('sys')}.stderr")
        return f"{self.called('print')}({', '.join(arguments)})", PRIMARY

    def _string_method(self, expr: Call, name: str) -> tuple[str, int]:
        assert isinstance(expr.target, Member)
        if name == "Contains":
            needle = self.expr(expr.arguments[0], COMPARISON + 1)
            return f"{needle} in {self.expr(expr.target.object, COMPARISON + 1)}", COMPARISON
        if len(expr.arguments) == 2:
            self._refuse_side_effects(expr, name)
        text = self.expr(expr.target.object, PRIMARY)
        arguments = [self.expr(a) for a in expr.arguments]
        if name == "Substring":
            end = self.end(expr.arguments[0], expr.arguments[1]) if len(arguments) == 2 else ""
            return f"{text}[{arguments[0]}:{end}]", PRIMARY
        methods = {
            "StartsWith": "startswith",
            "EndsWith": "endswith",
            "IndexOf": "find",
            "LastIndexOf": "rfind",
            "Replace": "replace",
            "ToLower": "lower",
            "ToUpper": "upper",
        }
        return f"{text}.{methods[name]}({', '.join(arguments)})", PRIMARY

    def _enum_method(self, expr: Call, name: str) -> tuple[str, int]:
        assert isinstance(expr.target, Member)
        if name == "FromInt":
            assert isinstance(expr.type, EnumType)
            return f"{self.type_name(expr.type.decl)}({self.expr(expr.arguments[0])})", PRIMARY
        holder = self.expr(expr.target.object, PRIMARY)
        if name == "ToInt":
            return f"{holder}.value", PRIMARY
        return f"{self.expr(expr.arguments[0], COMPARISON + 1)} in {holder}", COMPARISON

    # --- array statements ---

    def _refuse_side_effects(self, expr: Call, name: str) -> None:
        """Refuse arguments that cannot be written twice, as in `start:start + count`."""
        if len(expr.arguments) > 1 and (calls_methods(expr.arguments) or steps(expr.arguments)):
            self.unsupported(expr, f"side effect in the arguments of {name}", "Python")

    def end(self, start: Expr, count: Expr) -> str:
        """Return `start + count`."""
        if isinstance(start.value, int) and isinstance(count.value, int):
            return str(start.value + count.value)
        if start.value == 0:
            return self.expr(count)
        return f"{self.expr(start, PRECEDENCE['+'])} + {self.expr(count, PRECEDENCE['+'] + 1)}"

    def array_statement(self, expr: Call) -> list[str]:
        """Return the lines of `Fill`, `Sort` or `CopyTo`, or of another call whose result is not used."""
        name = expr.builtin.partition(".")[2]
        assert isinstance(expr.target, Member)
        type_ = expr.target.object.type
        assert isinstance(type_, ArrayType)
        array = self.expr(expr.target.object, PRIMARY)
        self._refuse_side_effects(expr, name)
        if name == "Fill":
            value = self.coerce(expr.arguments[0], type_.element)
            if len(expr.arguments) == 1:
                return [f"{array}[:] = {self.filled(type_.element, value, str(type_.length))}"]
            start, count = expr.arguments[1:]
            filled = self.filled(type_.element, value, self.expr(count))
            return [f"{array}[{self.expr(start)}:{self.end(start, count)}] = {filled}"]
        if name == "Sort":
            part = ":" if not expr.arguments else f"{self.expr(expr.arguments[0])}:{self.end(*expr.arguments)}"
            ordered = f"{self.called('sorted')}({array}{'' if part == ':' else f'[{part}]'})"
            if type_.element == BYTE:
                return [f"{array}[{part}] = bytes({ordered})"]
            assert isinstance(type_.element, (Integer, Floating))
            return [f'{array}[{part}] = {self.module("array")}.array("{TYPE_CODES[type_.element.name]}", {ordered})']
        if name == "CopyTo":
            start, destination, to, count = expr.arguments
            if is_storage(type_.element):
                return [self.unsupported(expr, "CopyTo of storage elements", "Python")]
            source = f"{array}[{self.expr(start)}:{self.end(start, count)}]"
            return [f"{self.expr(destination, PRIMARY)}[{self.expr(to)}:{self.end(to, count)}] = {source}"]
        return [self.expr(expr)]
