"""Operators, indices and assignments."""

from __future__ import annotations

from pyfut.checks.context import Context
from pyfut.checks.conversions import Conversions
from pyfut.checks.folding import fold_binary, fold_index, fold_unary, integer_type
from pyfut.checks.mutability import Mutability
from pyfut.checks.types import (
    BOOL,
    DOUBLE,
    ERROR,
    INT,
    LONG,
    NULL,
    STRING,
    STRING_STORAGE,
    ArrayType,
    ClassType,
    EnumType,
    Floating,
    Integer,
    Kind,
    StringType,
    Type,
    is_numeric,
    is_reference,
    is_storage,
    promote,
    with_kind,
)
from pyfut.checks.whole import Whole
from pyfut.errors import Position
from pyfut.syntax import ast


class Operators:
    """Checks operators."""

    def __init__(self, context: Context, whole: Whole, mutability: Mutability, conversions: Conversions) -> None:
        self.context = context
        self.whole = whole
        self.mutability = mutability
        self.conversions = conversions

    def index(self, expr: ast.Index) -> Type:
        """Check `object[index]`."""
        holder = self.whole.value_of(expr.object)
        self.whole.value_of(expr.index)
        if holder == ERROR:
            return ERROR
        if not isinstance(holder, (ArrayType, StringType)):
            return self.context.error(expr.position, "Cannot index this object")
        self.conversions.convert(expr.index, LONG)
        index = expr.index.value
        if isinstance(index, int):
            if index < 0:
                self.context.error(expr.index.position, "Negative index")
            elif isinstance(holder, ArrayType) and holder.kind is Kind.STORAGE and index >= holder.length:
                self.context.error(expr.index.position, "Array index out of bounds")
        if isinstance(holder, StringType):
            expr.value = fold_index(expr.object.value, index)
            return INT
        expr.value = fold_index(expr.object.value, index)
        return holder.element

    def unary(self, expr: ast.Unary) -> Type:
        """Check a prefix operator."""
        if expr.operator in ("++", "--"):
            return self.step(expr)
        operand = self.whole.value_of(expr.operand)
        expr.value = fold_unary(expr.operator, expr.operand.value)
        if operand == ERROR:
            return ERROR
        if expr.operator == "!":
            self.conversions.convert(expr.operand, BOOL)
            return BOOL
        if expr.operator == "~" and isinstance(operand, EnumType):
            self._check_flags(operand, expr.position)
            return operand
        if not is_numeric(operand) or (expr.operator == "~" and isinstance(operand, Floating)):
            return self.conversions.cannot(expr.operand, DOUBLE if expr.operator == "-" else INT)
        if isinstance(expr.value, int):
            return integer_type(expr.value)
        return promote(operand, INT)

    def step(self, expr: ast.Unary | ast.Postfix) -> Type:
        """Check `++` or `--`."""
        operand = self.whole.value_of(expr.operand)
        if self.context.conditional:
            self.context.error(
                expr.position, f"{expr.operator} not allowed on the right side of {self.context.conditional}"
            )
        self.mutability.modify(expr.operand)
        if operand != ERROR and not is_numeric(operand):
            return self.conversions.cannot(expr.operand, DOUBLE)
        return operand

    def _guarded(self, operator: str, expr: ast.Expr) -> Type:
        """Check an operand that is only evaluated under a condition."""
        before = self.context.conditional
        self.context.conditional = operator
        type_ = self.whole.value_of(expr)
        self.context.conditional = before
        return type_

    def binary(self, expr: ast.Binary) -> Type:
        """Check a binary operator."""
        operator = expr.operator
        if operator in ("&&", "||"):
            self.whole.boolean(expr.left)
            self._guarded(operator, expr.right)
            self.conversions.convert(expr.right, BOOL)
            expr.value = fold_binary(operator, expr.left.value, expr.right.value)
            return BOOL
        left, right = self.whole.value_of(expr.left), self.whole.value_of(expr.right)
        if ERROR in (left, right):
            return BOOL if operator in ("==", "!=", "<", "<=", ">", ">=") else ERROR
        expr.value = fold_binary(operator, expr.left.value, expr.right.value)
        if operator in ("==", "!="):
            return self._equality(expr)
        if operator in ("<", "<=", ">", ">="):
            if not (isinstance(left, EnumType) and left == right):
                self._both_numeric(expr, DOUBLE)
            return BOOL
        if operator == "+" and isinstance(left, StringType):
            if not isinstance(right, StringType):
                return self.conversions.cannot(expr.right, STRING)
            return STRING if expr.value is not None else STRING_STORAGE
        if operator == "+" and isinstance(right, StringType):
            return self.conversions.cannot(expr.left, STRING)
        return self._arithmetic(expr)

    def _arithmetic(self, expr: ast.Binary) -> Type:
        operator, left, right = expr.operator, expr.left.type, expr.right.type
        if operator in ("&", "|", "^"):
            if left == right == BOOL:
                return BOOL
            if isinstance(left, EnumType) and left == right:
                self._check_flags(left, expr.position)
                return left
        target = DOUBLE if operator in ("+", "-", "*", "/") else INT
        if not self._both_numeric(expr, target):
            return ERROR
        if (
            operator in ("/", "%")
            and expr.right.value == 0
            and isinstance(left, Integer)
            and isinstance(right, Integer)
        ):
            return self.context.error(expr.position, "Division by zero" if operator == "/" else "Mod zero")
        if isinstance(expr.value, int):
            return integer_type(expr.value)
        assert is_numeric(left)
        assert is_numeric(right)
        return promote(left, INT) if operator in ("<<", ">>") else promote(left, right)

    def _both_numeric(self, expr: ast.Binary, target: Type) -> bool:
        """Check that both operands are numbers and, for a `target` of int, integers."""
        for operand in (expr.left, expr.right):
            if not is_numeric(operand.type) or (target == INT and isinstance(operand.type, Floating)):
                self.conversions.cannot(operand, target)
                return False
        return True

    def _check_flags(self, type_: EnumType, position: Position) -> None:
        if not type_.decl.flags:
            self.context.error(position, f"Define flags enumeration as 'enum* {type_.decl.name}'")

    def _equality(self, expr: ast.Binary) -> Type:
        left, right = expr.left.type, expr.right.type
        if not self._comparable(left, right):
            names = [self.conversions.describe(operand) for operand in (expr.left, expr.right)]
            self.context.error(expr.position, f"Cannot compare '{names[0]}' with '{names[1]}'")
        return BOOL

    @staticmethod
    def _comparable(left: Type, right: Type) -> bool:
        if NULL in (left, right):
            other = right if left == NULL else left
            return other == NULL or is_reference(other) or (isinstance(other, StringType) and not other.storage)
        storages = is_storage(left) + is_storage(right)
        match left, right:
            case (Integer() | Floating(), Integer() | Floating()) | (StringType(), StringType()):
                return True
            case ClassType(), ClassType():
                if storages == 2 or (storages and Kind.DYNAMIC in (left.kind, right.kind)):
                    return False
                return left.decl.derives_from(right.decl) or right.decl.derives_from(left.decl)
            case ArrayType(), ArrayType():
                return left.element == right.element and storages < 2
        return left == right and (left == BOOL or isinstance(left, EnumType))

    def select(self, expr: ast.Select) -> Type:
        """Check `?:`."""
        self.whole.boolean(expr.condition)
        on_true, on_false = self._guarded("?", expr.on_true), self._guarded("?", expr.on_false)
        if ERROR in (on_true, on_false):
            return ERROR
        if isinstance(expr.condition.value, bool):
            expr.value = expr.on_true.value if expr.condition.value else expr.on_false.value
        common = self._common(expr)
        if common is None:
            names = [self.conversions.describe(value) for value in (expr.on_true, expr.on_false)]
            return self.context.error(expr.position, f"Incompatible types: '{names[0]}' and '{names[1]}'")
        return common

    def _common(self, expr: ast.Select) -> Type | None:
        """Return the type of `?:`, None if its values have none in common."""
        on_true, on_false = expr.on_true.type, expr.on_false.type
        if NULL in (on_true, on_false):
            other = on_false if on_true == NULL else on_true
            return other if other == NULL or isinstance(other, (StringType, ClassType, ArrayType)) else None
        match self.conversions.effective(expr.on_true), self.conversions.effective(expr.on_false):
            case (Integer() | Floating()) as left, (Integer() | Floating()) as right if left != right:
                return promote(left, right)
            case StringType(), StringType() if on_true != on_false:
                return STRING
            case ClassType() as left, ClassType() as right:
                decl: ast.ClassDecl | None = left.decl
                while decl is not None and not right.decl.derives_from(decl):
                    decl = decl.base
                return None if decl is None else ClassType(decl, self.conversions.weaker(left.kind, right.kind))
            case ArrayType() as left, ArrayType() as right if left.element == right.element:
                return with_kind(left, self.conversions.weaker(left.kind, right.kind))
        return on_true if on_true == on_false else None

    def assign(self, expr: ast.Assign) -> Type:
        """Check an assignment."""
        operator = expr.operator
        target = self.whole.value_of(expr.target)
        source = (
            self.whole.check(expr.source) if isinstance(expr.source, ast.Assign) else self.whole.value_of(expr.source)
        )
        self.mutability.modify(expr.target)
        if ERROR in (target, source):
            return ERROR
        if operator == "=":
            if is_storage(target):
                return self.context.error(expr.position, "Cannot copy object storage")
            self.conversions.convert(expr.source, target)
            return target
        if operator == "+=" and isinstance(target, StringType):
            if not target.storage:
                name = self.conversions.spell(expr.target)
                return self.context.error(expr.position, f"'{name}' is '{target}', concatenation requires 'string()'")
            if not isinstance(source, StringType):
                return self.conversions.cannot(expr.source, STRING)
            return target
        combined = ast.Binary(expr.position, operator[:-1], expr.target, expr.source)
        combined.type = self._arithmetic(combined)
        if combined.type != ERROR and not self.conversions.convertible(combined, combined.type, target):
            return self.conversions.cannot(expr.source if source != target else combined, target)
        return target
