"""The C target: expressions."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager

from pyfut.ast import (
    Assign,
    Binary,
    BuiltinMember,
    Call,
    ClassDecl,
    ConstDecl,
    EnumValue,
    Expr,
    FieldDecl,
    Index,
    Interpolated,
    Is,
    Literal,
    Member,
    MethodDecl,
    Name,
    New,
    Postfix,
    Resource,
    Select,
    Unary,
    Value,
    Var,
)
from pyfut.builtins import ROUNDING
from pyfut.c_types import EQUALITY, NARROW, POSTFIX, PRECEDENCE, SCALARS, SELECT, UNARY, CTypes
from pyfut.constants import COMPARISONS, wrap
from pyfut.generator import needs_clarity
from pyfut.naming import camel_case, escape
from pyfut.types import (
    BOOL,
    BYTE,
    DOUBLE,
    FLOAT,
    INT,
    LONG,
    NINT,
    NULL,
    STRING_STORAGE,
    USHORT,
    ArrayType,
    ClassType,
    EnumType,
    Floating,
    Integer,
    Kind,
    StringType,
    Type,
    is_dynamic,
    is_storage,
)
from pyfut.walk import calls_methods, steps


class CExpressions(CTypes):
    """Turns expressions into C."""

    # --- writing before the expression ---

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Generate something that is not always evaluated, or more than once."""
        before, self.hoistable = self.hoistable, False
        yield
        self.hoistable = before

    def hoist(self, expr: Expr, construct: str, type_: Type, text: str) -> str:
        """Evaluate `text` into a new variable before the statement; return the name of the variable."""
        if not self.hoistable:
            return self.unsupported(expr, f"{construct} in this place", "C")
        name = f"futemp{self.temporaries}"
        self.temporaries += 1
        self.line(f"{self.declaration(type_, name)} = {text};")
        return name

    # --- ownership ---

    @staticmethod
    def is_owned(expr: Expr) -> bool:
        """Whether the value of an expression of a dynamic reference type comes with a share of its own."""
        return is_dynamic(expr.type) and isinstance(expr, (New, Call))

    def owned(self, expr: Expr, target: Type) -> str:
        """Return an expression whose value the receiver has to release."""
        if isinstance(expr, Select):
            condition = self.expr(expr.condition, SELECT + 1)
            with self.guarded():
                return f"{condition} ? {self.owned(expr.on_true, target)} : {self.owned(expr.on_false, target)}"
        if expr.type == NULL:
            return self.null()
        if self.is_owned(expr):
            return self._cast_up(self._raw(expr), expr.type, target)
        shared = f"{self.need('FuShared_AddRef')}({self.expr(expr)})"
        return f"({self.declaration(target, '').strip()}) {shared}"

    def owned_string(self, expr: Expr) -> str:
        """Return a new string that the receiver has to free."""
        if isinstance(expr, Select):
            condition = self.expr(expr.condition, SELECT + 1)
            with self.guarded():
                return f"{condition} ? {self.owned_string(expr.on_true)} : {self.owned_string(expr.on_false)}"
        if self.is_new_string(expr):
            return self._raw(expr)
        return f"{self.need('FuString_Copy')}({self.expr(expr)})"

    @staticmethod
    def is_new_string(expr: Expr) -> bool:
        """Whether the value of an expression is a string that somebody has to free."""
        if expr.type != STRING_STORAGE:
            return False
        return isinstance(expr, Call) or (expr.value is None and isinstance(expr, (Binary, Interpolated)))

    def _raw(self, expr: Expr) -> str:
        return self._dispatch(expr)[0]

    # --- conversions ---

    def coerce(self, expr: Expr, target: Type, element: bool = False, minimum: int = 0) -> str:
        """Return an expression converted to a type: that of a variable or, for `element`, of an array element."""
        text, precedence = self._coerce(expr, target, element)
        return f"({text})" if precedence < minimum else text

    def _coerce(self, expr: Expr, target: Type, element: bool) -> tuple[str, int]:
        if isinstance(expr, Select) and not isinstance(target, (ClassType, ArrayType)):
            condition = self.expr(expr.condition, SELECT + 1)
            with self.guarded():
                on_true = self.coerce(expr.on_true, target, element, SELECT + 1)
                return f"{condition} ? {on_true} : {self.coerce(expr.on_false, target, element, SELECT)}", SELECT
        if isinstance(target, Integer):
            return self._coerce_integer(expr, target, element)
        if target == FLOAT and expr.type == DOUBLE:
            text, precedence = self._evaluate(expr)
            if self._is_constant_reference(expr) or re.fullmatch(r"-?[\d.]+(e[+-]?\d+)?", text):
                return (text if text.endswith(("NAN", "INFINITY")) else f"{text}f"), precedence
            return f"(float) {text if precedence >= UNARY else f'({text})'}", UNARY
        if isinstance(target, ClassType):
            return self._coerce_object(expr, target)
        return self._evaluate(expr)

    @staticmethod
    def _is_constant_reference(expr: Expr) -> bool:
        return isinstance(expr, (Name, Member)) and isinstance(expr.value, float)

    def _coerce_integer(self, expr: Expr, target: Integer, element: bool) -> tuple[str, int]:
        value = expr.value
        if isinstance(value, int) and not isinstance(value, bool):
            if target.maximum == INT.maximum and wrap(value, INT) != value:
                return f"(int) {value}", UNARY
            return self._evaluate(expr)
        source = expr.type
        if isinstance(expr, Call) and expr.builtin in ROUNDING:
            return self._rounding(expr, self.declaration(target, "").strip())
        if not isinstance(source, Integer):
            return self._evaluate(expr)
        wanted = ""
        if element and target in NARROW and not target.minimum <= source.minimum <= source.maximum <= target.maximum:
            wanted = NARROW[target]
        elif source in (LONG, NINT) and target not in (LONG, NINT):
            wanted = "int"
        elif source == LONG and target == NINT:
            wanted = "ptrdiff_t"
        if not wanted:
            return self._evaluate(expr)
        self._include_type(wanted)
        return f"({wanted}) {self.expr(expr, UNARY)}", UNARY

    def _coerce_object(self, expr: Expr, target: ClassType) -> tuple[str, int]:
        if target.kind is Kind.STORAGE or not isinstance(expr.type, ClassType):
            return self._evaluate(expr)
        if isinstance(expr, Select):
            condition = self.expr(expr.condition, SELECT + 1)
            with self.guarded():
                on_true = self.coerce(expr.on_true, target, False, SELECT + 1)
                return f"{condition} ? {on_true} : {self.coerce(expr.on_false, target, False, SELECT)}", SELECT
        text, precedence = self.pointer(expr)
        if expr.type.decl is target.decl:
            return text, precedence
        if precedence < UNARY:
            text = f"({text})"
        return self._cast_up(text, expr.type, target), UNARY

    def _cast_up(self, text: str, source: Type, target: Type) -> str:
        """Convert a pointer to a pointer to a base, which is always the first member of the structure."""
        if isinstance(source, ClassType) and isinstance(target, ClassType) and source.decl is not target.decl:
            return f"({self.declaration(target, '').strip()}) {text}"
        return text

    def pointer(self, expr: Expr) -> tuple[str, int]:
        """Return a pointer to an object."""
        if is_storage(expr.type):
            return f"&{self.expr(expr, UNARY)}", UNARY
        return self._evaluate(expr)

    # --- expressions ---

    def expr(self, expr: Expr, minimum: int = 0) -> str:
        """Return an expression, in parentheses if it binds less tightly than `minimum`."""
        text, precedence = self._evaluate(expr)
        return f"({text})" if precedence < minimum else text

    def _evaluate(self, expr: Expr) -> tuple[str, int]:
        """Return an expression with its precedence; what it allocates gets a name, to be released with the scope."""
        text, precedence = self._dispatch(expr)
        if self.is_owned(expr):
            return self._keep(expr, text, "FuShared", f"{self.need('FuShared_Release')}"), POSTFIX
        if self.is_new_string(expr):
            self.includes.add("stdlib.h")
            return self._keep(expr, text, "FuString", "free"), POSTFIX
        return text, precedence

    def _keep(self, expr: Expr, text: str, kind: str, release: str) -> str:
        """Give a name to something that is to be released at the end of the scope."""
        if self.hoistable:
            name = self.hoist(expr, "", expr.type, text)
            self.cleanups[-1].append(f"{release}({name});")
            return name
        if not self.declarable:
            return self.unsupported(expr, "a new object or string in this place", "C")
        name = f"futemp{self.temporaries}"
        self.temporaries += 1
        self.line(f"{self.declaration(expr.type, name)} = {self.null()};")
        self.cleanups[-1].append(f"{release}({name});")
        cast = f"({self.declaration(expr.type, '').strip()}) " if kind == "FuShared" else ""
        return f"({name} = {cast}{self.need(f'{kind}_Replace')}({name}, {text}))"

    def _dispatch(self, expr: Expr) -> tuple[str, int]:
        if isinstance(expr, Literal):
            return self._literal(expr)
        if isinstance(expr, (Name, Member)):
            return self._named(expr)
        if isinstance(expr, Index):
            return self._index(expr)
        if isinstance(expr, Call):
            return self._call(expr)
        if isinstance(expr, Unary):
            return self._unary(expr)
        if isinstance(expr, Postfix):
            return f"{self.expr(expr.operand, POSTFIX)}{expr.operator}", POSTFIX
        if isinstance(expr, Binary):
            return self._binary(expr)
        if isinstance(expr, Select):
            return self._select(expr)
        if isinstance(expr, New):
            return self._new(expr)
        if isinstance(expr, Is):
            return self.unsupported(expr, "'is'", "C"), POSTFIX
        if isinstance(expr, Interpolated):
            return self._interpolated(expr)
        if isinstance(expr, Resource):
            return self._resource(expr), POSTFIX
        assert isinstance(expr, Assign)
        return self.unsupported(expr, "assignment inside an expression", "C"), POSTFIX

    def _resource(self, expr: Resource) -> str:
        name = f"FuResource_{re.sub(r'[^A-Za-z0-9]', '_', str(expr.name.value))}"
        rows = [expr.content[i : i + 16] for i in range(0, len(expr.content), 16)] or [b"\0"]
        body = ",\n\t".join(", ".join(str(byte) for byte in row) for row in rows)
        self.includes.add("stdint.h")
        self.helpers[name] = f"static const uint8_t {name}[{max(len(expr.content), 1)}] = {{\n\t{body}\n}};"
        return name

    def _literal(self, expr: Literal) -> tuple[str, int]:
        literal = expr.literal
        if literal is None:
            return self.null(), POSTFIX
        if isinstance(literal, (bool, str)):
            return self.const_value(literal, expr.type), POSTFIX
        if isinstance(literal, float):
            return expr.text.replace("_", ""), POSTFIX
        if expr.text.startswith("'"):
            return (expr.text if literal < 128 else str(literal)), POSTFIX
        text = expr.text.replace("_", "")
        return (text if re.fullmatch(r"[0-9]+|0[xX].*", text) and literal <= INT.maximum else str(literal)), POSTFIX

    def _value(self, value: Value, type_: Type) -> tuple[str, int]:
        text = self.const_value(value, type_)
        return text, UNARY if text.startswith("-") else POSTFIX

    def _named(self, expr: Name | Member) -> tuple[str, int]:
        symbol = expr.symbol
        if isinstance(symbol, ConstDecl):
            if isinstance(symbol.type, ArrayType):
                return self.const_name(symbol), POSTFIX
            text, precedence = self._value(expr.value, symbol.type)
            suffix = {FLOAT: "f", LONG: "LL"}.get(expr.type, "") if re.fullmatch(r"-?[\d.e+-]+", text) else ""
            return text + suffix, precedence
        if isinstance(symbol, EnumValue):
            return self.const_value(symbol, expr.type), POSTFIX
        if isinstance(symbol, BuiltinMember):
            return self._builtin_member(expr, symbol)
        if isinstance(symbol, Var):
            return self.var_name(symbol), POSTFIX
        if isinstance(expr, Name):
            if expr.name in ("this", "base"):
                return "self", POSTFIX
            assert isinstance(symbol, FieldDecl)
            assert self.owner is not None
            return f"self->{self._path(self.owner, symbol.owner)}{self.local_name(symbol.name)}", POSTFIX
        assert isinstance(symbol, FieldDecl)
        holder = expr.object.type
        assert isinstance(holder, ClassType)
        arrow = "." if is_storage(holder) else "->"
        path = self._path(holder.decl, symbol.owner)
        return f"{self.expr(expr.object, POSTFIX)}{arrow}{path}{self.local_name(symbol.name)}", POSTFIX

    @staticmethod
    def _path(from_: ClassDecl, to: ClassDecl) -> str:
        """Return `base.base.`, which leads from a class to one of its bases."""
        path = ""
        while from_ is not to:
            assert from_.base is not None
            from_ = from_.base
            path += "base."
        return path

    def _index(self, expr: Index) -> tuple[str, int]:
        text = f"{self.expr(expr.object, POSTFIX)}[{self.expr(expr.index)}]"
        if isinstance(expr.object.type, StringType):
            self.includes.add("stdint.h")
            return f"(uint8_t) {text}", UNARY
        return text, POSTFIX

    def _unary(self, expr: Unary) -> tuple[str, int]:
        if isinstance(expr.value, int) and expr.value in (INT.minimum, LONG.minimum):
            return self._value(expr.value, expr.type)
        operand = self.expr(expr.operand, UNARY)
        if expr.operator == "~" and expr.operand.type in (BYTE, USHORT) and isinstance(expr.operand, Index):
            operand = f"(int) {operand}"
        if isinstance(expr.type, EnumType):
            return f"({self.type_name(expr.type.decl)}) {expr.operator}{operand}", UNARY
        space = " " if operand.startswith(expr.operator[0]) else ""
        return f"{expr.operator}{space}{operand}", UNARY

    def _select(self, expr: Select) -> tuple[str, int]:
        condition = self.expr(expr.condition, SELECT + 1)
        with self.guarded():
            on_true = self.coerce(expr.on_true, expr.type, False, SELECT + 1)
            return f"{condition} ? {on_true} : {self.coerce(expr.on_false, expr.type, False, SELECT)}", SELECT

    def _binary(self, expr: Binary) -> tuple[str, int]:
        operator = expr.operator
        if isinstance(expr.left.type, StringType) or isinstance(expr.right.type, StringType):
            return self._string_operator(expr)
        if operator in ("==", "!=") and isinstance(expr.left.type, ClassType):
            return self._compare_objects(expr)
        integers = (expr.left.type, expr.right.type) == (INT, INT)
        if expr.type == LONG and integers and isinstance(expr.value, int):
            return self._value(expr.value, LONG)
        settled = self._out_of_range(expr)
        if settled is not None:
            return self.const_value(settled, BOOL), POSTFIX
        if operator == "<<" and isinstance(expr.left.value, int) and expr.left.value < 0:
            unsigned = "uint64_t" if expr.type == LONG else "unsigned int"
            self._include_type(unsigned)
            amount = self.expr(expr.right, PRECEDENCE["<<"] + 1)
            return f"({SCALARS[expr.type]}) (({unsigned}) {self.expr(expr.left, UNARY)} << {amount})", UNARY
        precedence = PRECEDENCE[operator]
        left = self._operand(expr, expr.left, precedence + (precedence in (EQUALITY, EQUALITY + 1)))
        if operator in ("&&", "||"):
            with self.guarded():
                right = self._operand(expr, expr.right, precedence + 1)
        else:
            right = self._operand(expr, expr.right, precedence + 1)
        return f"{left} {operator} {right}", precedence

    @staticmethod
    def _out_of_range(expr: Binary) -> bool | None:
        """Return the result of comparing a small integer with a constant beyond its range, which compilers warn of."""
        compare = COMPARISONS.get(expr.operator)
        if compare is None or steps(expr):
            return None
        for operand, constant in ((expr.left, expr.right), (expr.right, expr.left)):
            source, value = operand.type, constant.value
            if isinstance(source, Integer) and isinstance(value, int) and operand.value is None:
                low, high = (
                    compare(bound, value) if operand is expr.left else compare(value, bound)
                    for bound in (source.minimum, source.maximum)
                )
                beyond = not source.minimum <= value <= source.maximum
                if low == high and (beyond or expr.operator not in ("==", "!=")):
                    return low
        return None

    def _operand(self, expr: Binary, operand: Expr, minimum: int) -> str:
        rounding = isinstance(operand, Call) and operand.builtin in ROUNDING
        if rounding and isinstance(expr.right.type if operand is expr.left else expr.left.type, Floating):
            assert isinstance(operand, Call)
            return self._rounded(operand)
        if needs_clarity(expr.operator, operand) and isinstance(operand, Binary):
            minimum = max(minimum, PRECEDENCE[operand.operator] + 1)
        if expr.operator in ("|", "&", "^") and expr.type == BOOL:
            minimum = max(minimum, PRECEDENCE["<"] + 1)
        return self.expr(operand, minimum)

    def _compare_objects(self, expr: Binary) -> tuple[str, int]:
        left, right = expr.left.type, expr.right.type
        if isinstance(left, ClassType) and isinstance(right, ClassType):
            common = left.decl if right.decl.derives_from(left.decl) else right.decl
            target = ClassType(common, Kind.READ)
            pair = [self.coerce(side, target, False, EQUALITY + 1) for side in (expr.left, expr.right)]
        else:
            pair = [self.expr(side, EQUALITY + 1) for side in (expr.left, expr.right)]
        return f"{pair[0]} {expr.operator} {pair[1]}", EQUALITY

    def _string_operator(self, expr: Binary) -> tuple[str, int]:
        if expr.operator == "+":
            if isinstance(expr.value, str):
                return escape(expr.value), POSTFIX
            return f"{self.need('FuString_Concat')}({self.expr(expr.left)}, {self.expr(expr.right)})", POSTFIX
        left, right = self.expr(expr.left), self.expr(expr.right)
        if NULL in (expr.left.type, expr.right.type):
            return f"{left} {expr.operator} {right}", EQUALITY
        self.includes.add("string.h")
        return f"strcmp({left}, {right}) {expr.operator} 0", EQUALITY

    def assignment(self, expr: Assign) -> str:
        """Return an assignment, possibly chained, of values that need no releasing."""
        type_ = expr.target.type
        target = self.expr(expr.target)
        element = isinstance(expr.target, Index)
        if expr.operator != "=":
            inner = expr.source
            text = self.assignment(inner) if isinstance(inner, Assign) else self.expr(inner)
            return f"{target} {expr.operator} {text}"
        if isinstance(expr.source, Assign):
            text = self.assignment(expr.source)
            narrow = element and type_ in NARROW and expr.source.target.type != type_
            cast = f"({NARROW[type_]}) ({text})" if narrow else text  # type: ignore[index]
            if type_ == FLOAT and expr.source.target.type == DOUBLE:
                cast = f"(float) ({text})"
            return f"{target} = {cast}"
        return f"{target} = {self.coerce(expr.source, type_, element)}"

    # --- objects ---

    def _new(self, expr: New) -> tuple[str, int]:
        make = self.need("FuShared_Make")
        type_ = expr.type
        pointer = self.declaration(type_, "").strip()
        if isinstance(type_, ArrayType):
            length_expr = expr.written.brackets[0].length
            assert length_expr is not None
            length = self.expr(length_expr)
            constructor, destructor = self.element_life(type_.element)
            size = f"sizeof({self.element_type(type_.element)})"
            return f"({pointer}) {make}({length}, {size}, {constructor}, {destructor})", UNARY
        assert isinstance(type_, ClassType)
        constructor, destructor = self.element_life(ClassType(type_.decl, Kind.STORAGE))
        return f"({pointer}) {make}(1, sizeof({self.type_name(type_.decl)}), {constructor}, {destructor})", UNARY

    def element_life(self, type_: Type) -> tuple[str, str]:
        """Return the functions that construct and destruct an element on the heap."""
        raise NotImplementedError

    # --- calls ---

    def _call(self, expr: Call) -> tuple[str, int]:
        if expr.builtin:
            return self._builtin(expr)
        method = expr.method
        assert method is not None
        arguments = []
        for index, parameter in enumerate(method.parameters):
            argument = expr.arguments[index] if index < len(expr.arguments) else parameter.init
            assert argument is not None
            arguments.append(self.argument(argument, parameter.type))
        text = self._invoke(expr, method, arguments)
        return self.checked(expr, method, text) if method.throws else (text, POSTFIX)

    def checked(self, expr: Call, method: MethodDecl, text: str) -> tuple[str, int]:
        """Return a call of a method that may throw, with the check of its result."""
        raise NotImplementedError

    def argument(self, argument: Expr, type_: Type) -> str:
        """Return an argument of a method."""
        if is_dynamic(type_):
            return self.owned(argument, type_)
        if type_ == STRING_STORAGE:
            return self.owned_string(argument)
        return self.coerce(argument, type_)

    def _invoke(self, expr: Call, method: MethodDecl, arguments: list[str]) -> str:
        target = expr.target
        name = self.method_name(method)
        if method.is_static:
            return f"{name}({', '.join(arguments)})"
        is_base = isinstance(target, Member) and isinstance(target.object, Name) and target.object.name == "base"
        receiver_type = ClassType(method.introducing().owner, Kind.WRITE if method.mutator else Kind.READ)
        if isinstance(target, Name) or is_base:
            assert self.owner is not None
            holder, receiver = self.owner, "self"
            if is_base:
                receiver_type = ClassType(method.owner, receiver_type.kind)
        else:
            source = target.object.type
            assert isinstance(source, ClassType)
            holder = source.decl
            if not method.is_virtual or is_storage(source):
                receiver = (
                    self.pointer(target.object)[0] if not self.is_owned(target.object) else self.expr(target.object)
                )
            else:
                receiver = self.expr(target.object, UNARY)
                if not re.fullmatch(r"[\w.>-]+", receiver):
                    receiver = self.hoist(expr, "a virtual call on an expression", source, receiver)
        virtual = method.is_virtual and not is_base
        if isinstance(target, Member) and is_storage(target.object.type):
            method = self._final(method, holder)
            return self._direct(method, receiver, holder, arguments)
        if not virtual:
            return self._direct(method, receiver, holder, arguments)
        first = self._receiver(receiver, holder, receiver_type)
        return f"{self._vtbl_entry(receiver, holder, method)}({', '.join([first, *arguments])})"

    def _final(self, method: MethodDecl, decl: ClassDecl) -> MethodDecl:
        """Return the method that a call on a storage of the class executes."""
        found = decl.find(method.name)
        assert isinstance(found, MethodDecl)
        return found

    def _direct(self, method: MethodDecl, receiver: str, holder: ClassDecl, arguments: list[str]) -> str:
        type_ = ClassType(method.owner, Kind.WRITE if method.mutator else Kind.READ)
        first = self._receiver(receiver, holder, type_)
        return f"{self.method_name(method)}({', '.join([first, *arguments])})"

    def _receiver(self, receiver: str, holder: ClassDecl, target: ClassType) -> str:
        if holder is target.decl:
            return receiver
        return f"({self.declaration(target, '').strip()}) {receiver}"

    def _vtbl_entry(self, receiver: str, holder: ClassDecl, method: MethodDecl) -> str:
        introducing = method.introducing()
        root = self.vtbl_root(introducing.owner)
        vtbl = f"{receiver}->{self._path(holder, root)}vtbl"
        if introducing.owner is not root:
            vtbl = f"((const {self.type_name(introducing.owner)}Vtbl *) {vtbl})"
        return f"{vtbl}->{camel_case(method.name)}"

    def vtbl_root(self, decl: ClassDecl) -> ClassDecl:
        """Return the class that holds the pointer to the table of virtual methods."""
        root = decl
        current: ClassDecl | None = decl
        while current is not None:
            if introduces_virtual(current):
                root = current
            current = current.base
        return root

    def _builtin(self, expr: Call) -> tuple[str, int]:
        raise NotImplementedError

    def _builtin_member(self, expr: Name | Member, symbol: BuiltinMember) -> tuple[str, int]:
        raise NotImplementedError

    def _interpolated(self, expr: Interpolated) -> tuple[str, int]:
        raise NotImplementedError

    def _rounded(self, expr: Call) -> str:
        raise NotImplementedError

    def _rounding(self, expr: Call, target: str) -> tuple[str, int]:
        raise NotImplementedError


def introduces_virtual(decl: ClassDecl) -> bool:
    """Whether a class declares virtual methods that its bases do not have."""
    return any(m.is_virtual and m.overridden is None for m in decl.methods)


def is_zero(expr: Expr) -> bool:
    """Whether a value consists of zero bits."""
    value = expr.value
    if isinstance(value, EnumValue):
        return value.number == 0
    if isinstance(value, float):
        return value == 0 and math.copysign(1, value) > 0
    return (isinstance(value, int) and value == 0) or expr.type == NULL


def has_side_effects(expr: Expr) -> bool:
    """Whether evaluating an expression twice makes a difference, or is slow."""
    return bool(steps(expr)) or calls_methods(expr)
