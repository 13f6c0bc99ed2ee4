"""Declarations: what the names mean, types, constants, overrides."""

from __future__ import annotations

from pyfut import builtins
from pyfut.ast import (
    Aggregate,
    ClassDecl,
    ConstDecl,
    EnumDecl,
    EnumValue,
    Expr,
    FieldDecl,
    MethodDecl,
    Program,
    TypeNode,
    Value,
    Var,
    Visibility,
)
from pyfut.constants import wrap
from pyfut.errors import Diagnostics, Position
from pyfut.statements import StatementChecker
from pyfut.types import (
    ERROR,
    INT,
    LONG,
    NAMED_TYPES,
    STRING_STORAGE,
    VOID,
    ArrayType,
    ClassType,
    EnumType,
    Floating,
    Integer,
    Kind,
    StringType,
    Type,
    is_storage,
)

MARK_KINDS = {"": Kind.READ, "!": Kind.WRITE, "#": Kind.DYNAMIC}


class Analyzer(StatementChecker):
    """Checks a whole program and completes its syntax tree."""

    def __init__(self, program: Program, diagnostics: Diagnostics) -> None:
        super().__init__(program, diagnostics)
        self.breaks = []
        self.exception = ClassDecl(Position("", 0), True, "", "Exception", "", [], emitted=False)
        self.globals["Exception"] = self.exception

    def analyze(self) -> None:
        """Check everything; errors go to the diagnostics."""
        program = self.program
        declarations: list[ClassDecl | EnumDecl] = [*program.enums, *program.classes]
        for decl in sorted(declarations, key=lambda d: d.position.line):
            if decl.name in self.globals:
                self.error(decl.position, "Duplicate symbol")
            else:
                self.globals[decl.name] = decl
        for class_ in program.classes:
            self._resolve_base(class_)
        self._check_circular_bases()
        for enum in program.enums:
            self._enum(enum)
        for class_ in program.classes:
            self._collect_members(class_)
        for class_ in program.classes:
            self._resolve_methods(class_)
        for class_ in program.classes:
            self._resolve_members(class_)
        for class_ in program.classes:
            self._check_overrides(class_)
        for class_ in program.classes:
            self._check_bodies(class_)

    # --- classes ---

    def _resolve_base(self, decl: ClassDecl) -> None:
        if not decl.base_name:
            return
        base = self.globals.get(decl.base_name)
        if not isinstance(base, ClassDecl):
            self.error(decl.position, f"Base class '{decl.base_name}' not found")
            return
        decl.base = base
        if decl.public and not base.public:
            self.error(decl.position, "Public class cannot derive from an internal class")
        if base.modifier == "sealed":
            self.error(decl.position, f"Base class '{base.name}' is sealed")
        if base.modifier == "static":
            self.error(decl.position, f"Base class '{base.name}' is static")

    def _check_circular_bases(self) -> None:
        circular = []
        for decl in self.program.classes:
            base = decl.base
            seen = {id(decl)}
            while base is not None and id(base) not in seen:
                seen.add(id(base))
                base = base.base
            if base is decl:
                circular.append(decl)
        for decl in circular:
            self.error(decl.position, f"Circular inheritance for class '{decl.name}'")
            decl.base = None

    def _enum(self, decl: EnumDecl) -> None:
        following = 0
        seen: set[str] = set()
        for value in decl.values:
            if value.name in seen:
                self.error(value.position, "Duplicate symbol")
            seen.add(value.name)
            if value.init is not None:
                self.scopes = [{}]
                inner = self._enum_number(decl, value.init)
                if inner is None:
                    self.error(value.position, "Expected constant value")
                else:
                    following = inner
            value.number = following
            following += 1

    def _enum_number(self, decl: EnumDecl, init: Expr) -> int | None:
        """Evaluate the value of an enumeration member, which may name earlier members without the type."""
        constants: dict[str, Var | ConstDecl] = {}
        for other in decl.values:
            if other.init is init:
                break
            const = ConstDecl(
                other.position, self.exception, Visibility.PUBLIC, other.name, TypeNode(other.position, "int"), init, []
            )
            const.type, const.value, const.state = INT, other.number, "done"
            const.method = MethodDecl(
                other.position, self.exception, Visibility.PUBLIC, "static", "", None, False, [], [], None, []
            )
            constants[other.name] = const
        self.scopes = [constants]
        self.value_of(init)
        self.scopes = []
        value: Value = init.value
        if isinstance(value, EnumValue):
            return value.number
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def _collect_members(self, decl: ClassDecl) -> None:
        for member in decl.members:
            if isinstance(member, (FieldDecl, ConstDecl, MethodDecl)):
                if isinstance(member, MethodDecl) and member.is_constructor:
                    continue
                if member.name in decl.scope:
                    self.error(member.position, "Duplicate symbol")
                else:
                    decl.scope[member.name] = member

    def _resolve_members(self, decl: ClassDecl) -> None:
        self.owner = decl
        for member in decl.members:
            if isinstance(member, FieldDecl):
                if decl.modifier == "static":
                    self.error(member.position, "Field in a static class")
                member.type = self.refuse_assignable(self.resolve_type(member.written), member.init)
                if member.type == VOID:
                    self.error(member.position, "Field cannot be void")
                self._check_not_own_storage(decl, member)
            elif isinstance(member, ConstDecl):
                self.resolve_const(member)
        self.owner = None

    def _resolve_methods(self, decl: ClassDecl) -> None:
        """Resolve the types of methods, which constants may call."""
        self.owner = decl
        for member in decl.members:
            if isinstance(member, MethodDecl):
                self._resolve_method(member)
        self.owner = None

    def _check_not_own_storage(self, decl: ClassDecl, member: FieldDecl) -> None:
        type_ = member.type
        while isinstance(type_, ArrayType) and type_.kind is Kind.STORAGE:
            type_ = type_.element
        if isinstance(type_, ClassType) and type_.kind is Kind.STORAGE and decl.derives_from(type_.decl):
            self.error(member.position, f"Class '{decl.name}' cannot contain itself")

    def _resolve_method(self, method: MethodDecl) -> None:
        method.type = VOID if method.written is None else self.resolve_type(method.written)
        if is_storage(method.type):
            self.diagnostics.unsupported(method.position, "returning an object or array storage")
            method.type = ERROR
        names: set[str] = set()
        for parameter in method.parameters:
            parameter.type = self.resolve_type(parameter.written)
            if parameter.type == VOID:
                self.error(parameter.position, "Parameter cannot be void")
            if is_storage(parameter.type):
                self.diagnostics.unsupported(parameter.position, "parameter of a storage type")
                parameter.type = ERROR
            if parameter.name in names:
                self.error(parameter.position, "Duplicate symbol")
            names.add(parameter.name)
            if parameter.init is not None:
                self.value_of(parameter.init)
                self.convert(parameter.init, parameter.type)
                if parameter.init.value is None and str(parameter.init.type) != "null":
                    self.error(parameter.init.position, "Expected constant value")
        for thrown in method.throws:
            decl = self.globals.get(thrown.name)
            if not isinstance(decl, ClassDecl) or not decl.derives_from(self.exception):
                self.error(thrown.position, f"'{thrown.name}' is not an exception class")
        if method.name == "Main":
            self._check_main(method)

    def _check_main(self, method: MethodDecl) -> None:
        assert method.written is not None
        if not method.is_static or method.visibility is not Visibility.PUBLIC:
            self.error(method.position, "'Main' method must be 'public static'")
        if method.type not in (VOID, INT):
            self.error(method.written.position, "'Main' method must return 'void' or 'int'")
        if len(method.parameters) > 1:
            message = "'Main' method must have no parameters or one 'string[]' parameter"
            self.error(method.position, message)
        elif method.parameters and str(method.parameters[0].type) != "string[]":
            self.error(method.parameters[0].position, "'Main' method parameter must be 'string[]'")
        if self.program.main is not None:
            self.error(method.position, "Duplicate 'Main' method")
        self.program.main = method

    def _check_overrides(self, decl: ClassDecl) -> None:
        if decl.base is None:
            return
        for name, member in decl.scope.items():
            inherited = decl.base.find(name)
            overrides = isinstance(member, MethodDecl) and member.call_type in ("override", "sealed")
            if overrides:
                assert isinstance(member, MethodDecl)
                if isinstance(inherited, MethodDecl):
                    self._check_override(member, inherited)
                else:
                    self.error(member.position, "No method to override")
            elif inherited is not None and inherited.visibility is not Visibility.PRIVATE:
                base = inherited.owner.name
                if isinstance(member, MethodDecl) and isinstance(inherited, MethodDecl):
                    message = f"Method defined in base class '{base}'. Did you mean 'override'?"
                else:
                    message = f"Duplicate definition of '{name}' in base class '{base}'"
                self.error(member.position, message)

    def _check_override(self, method: MethodDecl, base: MethodDecl) -> None:
        method.overridden = base
        position = method.position
        if not base.is_virtual or base.call_type == "sealed":
            method.overridden = None
            message = (
                "Base method is sealed" if base.call_type == "sealed" else "Base method is not abstract or virtual"
            )
            self.error(position, message)
            return
        if method.visibility is not base.visibility:
            self.error(position, "Access modifier different from the overridden method")
        if method.mutator != base.mutator:
            kind, other = ("Mutating", "non-mutating") if method.mutator else ("Non-mutating", "mutating")
            self.error(position, f"{kind} method cannot override a {other} method")
        if method.type != base.type:
            self.error(position, "Base method has a different return type")
        if len(method.parameters) != len(base.parameters):
            amount = "More" if len(method.parameters) > len(base.parameters) else "Fewer"
            self.error(position, f"{amount} parameters than the overridden method")
        for mine, theirs in zip(method.parameters, base.parameters, strict=False):
            if mine.type != theirs.type:
                self.error(mine.position, "Base method has a different parameter type")

    # --- types ---

    def resolve_type(self, node: TypeNode) -> Type:
        """Return the type written as `node`."""
        type_ = self._base_type(node)
        for bracket in reversed(node.brackets):
            if type_ == ERROR:
                return ERROR
            if bracket.length is None:
                kind, optional = self._marks(bracket.position, bracket.marks)
                type_ = ArrayType(type_, kind, 0, optional)
                continue
            if bracket.marks:
                self.error(bracket.position, f"Unexpected '{bracket.marks}' on a non-reference type")
            length = self._array_length(bracket.length)
            type_ = ERROR if length is None else ArrayType(type_, Kind.STORAGE, length)
        return type_

    def _array_length(self, expr: Expr) -> int | None:
        self.constant_value(expr)
        if expr.type == ERROR:
            return None
        if not isinstance(expr.type, Integer):
            self.convert(expr, INT)
            return None
        if not isinstance(expr.value, int):
            self.error(expr.position, "Expected constant value")
            return None
        if expr.value < 0:
            self.error(expr.position, "Expected non-negative integer")
            return None
        if expr.value > INT.maximum:
            self.error(expr.position, "Integer too big")
            return None
        return expr.value

    def _marks(self, position: Position, marks: str) -> tuple[Kind, bool]:
        optional = marks.endswith("?")
        kind = MARK_KINDS.get(marks.removesuffix("?"))
        if kind is None:
            self.error(position, f"Unexpected '{marks}'")
            kind = Kind.READ
        return kind, optional

    def _base_type(self, node: TypeNode) -> Type:
        if node.name == "":
            return ERROR
        if node.name == "string":
            if node.storage:
                if node.marks:
                    return self.error(node.position, f"Unexpected '{node.marks[0]}' on a non-reference type")
                return STRING_STORAGE
            if node.marks not in ("", "?"):
                return self.error(node.position, f"Unexpected '{node.marks[0]}' on a non-reference type")
            return StringType(optional=node.marks == "?")
        named = NAMED_TYPES.get(node.name)
        decl = self.globals.get(node.name)
        if named is not None or isinstance(decl, EnumDecl):
            if node.storage:
                return self.error(node.position, f"'{node.name}' is not a class")
            if node.marks == "?":
                return self.error(node.position, "Nullable value types not supported")
            if node.marks:
                return self.error(node.position, f"Unexpected '{node.marks[0]}' on a non-reference type")
            return named if named is not None else EnumType(decl)  # type: ignore[arg-type]
        if decl is None:
            if node.name in builtins.UNSUPPORTED:
                self.diagnostics.unsupported(node.position, node.name)
                return ERROR
            noun = "Class" if node.storage else "Type"
            return self.error(node.position, f"{noun} '{node.name}' not found")
        assert isinstance(decl, ClassDecl)
        if decl.derives_from(self.exception):
            self.diagnostics.unsupported(node.position, "variable of an exception class")
            return ERROR
        if node.storage:
            if node.marks:
                return self.error(node.position, f"Unexpected '{node.marks[0]}' on a non-reference type")
            return ClassType(decl, Kind.STORAGE)
        kind, optional = self._marks(node.position, node.marks)
        return ClassType(decl, kind, optional)

    # --- constants ---

    def resolve_const(self, const: ConstDecl) -> None:
        """Determine the type and the value of a constant."""
        if const.state == "done":
            return
        if const.state == "busy":
            self.error(const.position, f"Circular dependency in value of constant '{const.name}'")
            return
        const.state = "busy"
        context = (self.owner, self.method, self.scopes, self.uses)
        self.uses = set()
        if const.method is None:
            self.owner, self.method, self.scopes = const.owner, None, []
        const.type = self._const_type_of(const)
        if isinstance(const.init, Aggregate):
            self._const_array(const, const.init)
        else:
            self._const_scalar(const)
        self.owner, self.method, self.scopes, self.uses = context
        const.state = "done"

    def _const_type_of(self, const: ConstDecl) -> Type:
        type_ = self.resolve_type(const.written)
        if isinstance(type_, ArrayType) and type_.kind in (Kind.WRITE, Kind.DYNAMIC):
            return self.error(const.position, "Invalid constant type")
        if isinstance(type_, ArrayType) and isinstance(const.init, Aggregate):
            count = len(const.init.items)
            if type_.kind is Kind.STORAGE and type_.length != count:
                self.error(const.position, f"Declared {type_.length} elements, initialized {count}")
            return ArrayType(type_.element, Kind.STORAGE, count)
        if isinstance(type_, ClassType) or type_ in (VOID, STRING_STORAGE):
            return self.error(const.position, "Invalid constant type")
        return type_

    def _const_array(self, const: ConstDecl, init: Aggregate) -> None:
        if not isinstance(const.type, ArrayType):
            if const.type != ERROR:
                self.error(const.position, f"Array initializer for scalar constant '{const.name}'")
            return
        element = const.type.element
        values: list[Value] = []
        for item in init.items:
            self.value_of(item)
            self.convert(item, element)
            if item.value is None and item.type != ERROR:
                self.error(item.position, f"Value for constant '{const.name}' is not constant")
            values.append(self.stored(item.value, element))
        const.value = values

    def _const_scalar(self, const: ConstDecl) -> None:
        self.value_of(const.init)
        if isinstance(const.type, ArrayType):
            self.error(const.position, "Expected an array initializer")
            return
        self.convert(const.init, const.type)
        if ERROR in (const.init.type, const.type):
            return
        if const.init.value is None:
            self.error(const.position, f"Value for constant '{const.name}' is not constant")
        const.value = self.stored(const.init.value, const.type)

    @staticmethod
    def stored(value: Value, type_: Type) -> Value:
        """Return a constant as a variable of the type holds it."""
        if isinstance(value, int) and not isinstance(value, bool):
            if type_ in (INT, LONG) and isinstance(type_, Integer):
                return wrap(value, type_)
            return float(value) if isinstance(type_, Floating) else value
        return value

    # --- bodies ---

    def _check_bodies(self, decl: ClassDecl) -> None:
        self.owner = decl
        for field in decl.fields:
            self.method, self.uses, self.scopes = None, decl.uses, []
            self.instantiate_storage(field.type, field.position)
            if field.init is not None:
                self._check_init(field.init, field.type, field.position)
        for member in decl.members:
            if isinstance(member, MethodDecl) and member.body is not None:
                self._check_method(member)
        self.owner, self.method = None, None
