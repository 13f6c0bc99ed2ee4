"""Types, names and compile-time values of expressions."""

from __future__ import annotations

from pathlib import Path

from pyfut import builtins
from pyfut.ast import (
    Aggregate,
    Assign,
    Binary,
    BuiltinMember,
    BuiltinName,
    Call,
    ClassDecl,
    ConstDecl,
    EnumDecl,
    EnumValue,
    Expr,
    FieldDecl,
    FieldInit,
    Index,
    Interpolated,
    Is,
    Literal,
    Member,
    MethodDecl,
    Name,
    New,
    ObjectInit,
    Postfix,
    Resource,
    Select,
    Symbol,
    TypeNode,
    Unary,
    Value,
    Var,
    Visibility,
)
from pyfut.constants import PureCall, fold_binary, fold_index, fold_unary, integer_type
from pyfut.conversions import ConversionChecker
from pyfut.errors import Position
from pyfut.types import (
    BOOL,
    BYTE,
    DOUBLE,
    ERROR,
    INT,
    LONG,
    NAMED_TYPES,
    NINT,
    NULL,
    STRING,
    STRING_STORAGE,
    TYPE_NAME,
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


class ExpressionChecker(ConversionChecker):
    """Checks expressions in the context of a class and, usually, of a method."""

    def check(self, expr: Expr) -> Type:
        """Determine and return the type of `expr`."""
        expr.type = self._dispatch(expr)
        return expr.type

    def value_of(self, expr: Expr) -> Type:
        """Check an expression whose value is used."""
        type_ = self.check(expr)
        if type_ == TYPE_NAME:
            expr.type = self.error(expr.position, f"'{self._spell(expr)}' is not an expression")
        elif isinstance(expr, (Name, Member)) and isinstance(expr.symbol, MethodDecl):
            self.error(expr.position, f"Method '{expr.name}' must be called")
        return expr.type

    def constant_value(self, expr: Expr) -> Type:
        """Check an expression that is evaluated at compile time, so that what it uses need not exist afterwards."""
        uses, self.uses = self.uses, set()
        type_ = self.value_of(expr)
        self.uses = uses
        return type_

    @staticmethod
    def _spell(expr: Expr) -> str:
        return expr.name if isinstance(expr, (Name, Member)) else str(expr.type)

    def boolean(self, expr: Expr) -> None:
        """Check a condition."""
        self.value_of(expr)
        self.convert(expr, BOOL)

    def _dispatch(self, expr: Expr) -> Type:
        if isinstance(expr, Literal):
            return self._literal(expr)
        if isinstance(expr, Name):
            return self._name(expr)
        if isinstance(expr, Member):
            return self._member(expr)
        if isinstance(expr, Index):
            return self._index(expr)
        if isinstance(expr, Call):
            return self._call(expr)
        if isinstance(expr, Unary):
            return self._unary(expr)
        if isinstance(expr, Postfix):
            return self._step(expr)
        if isinstance(expr, Binary):
            return self._binary(expr)
        if isinstance(expr, Assign):
            return self._assign(expr)
        if isinstance(expr, Select):
            return self._select(expr)
        if isinstance(expr, New):
            return self._new(expr)
        if isinstance(expr, Is):
            return self._is(expr)
        if isinstance(expr, Interpolated):
            return self._interpolated(expr)
        if isinstance(expr, Resource):
            return self._resource(expr)
        if isinstance(expr, (Aggregate, ObjectInit)):
            return self.error(expr.position, "Invalid expression")
        raise AssertionError(type(expr))

    def _resource(self, expr: Resource) -> Type:
        self.value_of(expr.name)
        name = expr.name.value
        if not isinstance(name, str):
            return self.error(expr.position, "Resource name must be a string")
        for directory in [*self.program.directories, "."]:
            path = Path(directory) / name
            if path.is_file():
                expr.content = path.read_bytes()
                return ArrayType(BYTE, Kind.STORAGE, len(expr.content))
        return self.error(expr.position, f"Resource '{name}' not found")

    @staticmethod
    def _literal(expr: Literal) -> Type:
        expr.value = expr.literal
        if expr.literal is None:
            return NULL
        if isinstance(expr.literal, bool):
            return BOOL
        if isinstance(expr.literal, str):
            return STRING
        return DOUBLE if isinstance(expr.literal, float) else integer_type(expr.literal)

    # --- names ---

    def lookup(self, name: str) -> Symbol | None:
        """Return what a plain identifier means here."""
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        member = self.owner.find(name) if self.owner is not None else None
        if member is not None:
            return member
        if name in self.globals:
            return self.globals[name]
        if name in builtins.CLASSES or name in NAMED_TYPES:
            return BuiltinName(Position("", 0), name)
        return None

    def _name(self, expr: Name) -> Type:
        if expr.name in ("this", "base"):
            return self._this(expr)
        symbol = self.lookup(expr.name)
        expr.symbol = symbol
        if symbol is None:
            if expr.name in builtins.UNSUPPORTED:
                self.diagnostics.unsupported(expr.position, expr.name)
                return ERROR
            return self.error(expr.position, f"'{expr.name}' not found")
        if isinstance(symbol, (FieldDecl, MethodDecl)):
            self._check_visible(symbol, expr.position, None)
            static = isinstance(symbol, MethodDecl) and symbol.is_static
            if not static and (self.method is None or self.method.is_static):
                return self.error(expr.position, f"Cannot use instance member '{expr.name}' from static context")
        elif isinstance(symbol, ConstDecl) and symbol.method is None:
            self._check_visible(symbol, expr.position, None)
        if isinstance(symbol, Var):
            symbol.is_read = True
        return self._symbol_type(expr, symbol)

    def _this(self, expr: Name) -> Type:
        if self.method is None:
            return self.error(expr.position, f"'{expr.name}' invalid outside methods")
        if self.method.is_static:
            message = "'this' not found" if expr.name == "this" else "'base' invalid in static context"
            return self.error(expr.position, message)
        assert self.owner is not None
        owner = self.owner
        if expr.name == "base":
            if owner.base is None:
                return self.error(expr.position, "No base class")
            owner = owner.base
        return ClassType(owner, Kind.WRITE if self.method.mutator else Kind.READ)

    def _symbol_type(self, expr: Name | Member, symbol: Symbol) -> Type:
        if isinstance(symbol, (Var, FieldDecl)):
            return symbol.type
        if isinstance(symbol, ConstDecl):
            return self._const_type(expr, symbol)
        if isinstance(symbol, EnumValue):
            expr.value = symbol
            return EnumType(symbol.owner)
        if isinstance(symbol, MethodDecl):
            return ERROR
        return TYPE_NAME

    def _const_type(self, expr: Expr, const: ConstDecl) -> Type:
        """Return the type of the literal that replaces a constant, or of a constant array."""
        self.resolve_const(const)
        if const.state == "busy":
            return ERROR
        expr.value = const.value
        if isinstance(const.type, ArrayType):
            self.uses.add(const)
            return const.type
        if isinstance(const.value, bool):
            return BOOL
        if isinstance(const.value, int) and isinstance(const.type, Integer):
            return LONG if const.type == LONG else integer_type(const.value)
        if isinstance(const.value, float):
            return const.type if isinstance(const.init.type, Integer) else DOUBLE
        return const.type

    def _member(self, expr: Member) -> Type:
        if isinstance(expr.object, Name) and expr.object.name == "Console" and expr.name in ("Error", "Out"):
            self.diagnostics.unsupported(expr.position, f"Console.{expr.name} as a value")
            return ERROR
        holder = self.check(expr.object)
        if holder == TYPE_NAME and isinstance(expr.object, (Name, Member)):
            return self._static_member(expr, expr.object.symbol)
        if holder == ERROR:
            if isinstance(expr.object, (Name, Member)) and isinstance(expr.object.symbol, MethodDecl):
                self.error(expr.position, "Expected an object")
            return ERROR
        if isinstance(holder, ClassType):
            return self._object_member(expr, holder)
        if expr.name == "Length" and (isinstance(holder, StringType) or self.has_length(expr.object)):
            expr.symbol = BuiltinMember(expr.position, "Length")
            if isinstance(holder, ArrayType) and holder.kind is Kind.STORAGE:
                expr.value = holder.length
                return INT
            if isinstance(expr.object.value, str):
                expr.value = len(expr.object.value) if expr.object.value.isascii() else None
            return NINT
        return self.error(expr.position, f"'{expr.name}' not found")

    def has_length(self, expr: Expr) -> bool:
        """Whether `.Length` exists: for array storage and for the arguments of `Main`."""
        if isinstance(expr.type, ArrayType) and expr.type.kind is Kind.STORAGE:
            return True
        symbol = expr.symbol if isinstance(expr, Name) else None
        return isinstance(symbol, Var) and symbol.is_parameter and self.method is self.program.main

    def _object_member(self, expr: Member, holder: ClassType) -> Type:
        symbol = holder.decl.find(expr.name)
        if symbol is None:
            return self.error(expr.position, f"'{expr.name}' not found")
        expr.symbol = symbol
        self._check_visible(symbol, expr.position, None if self._is_this(expr.object) else holder.decl)
        if isinstance(symbol, ConstDecl) or (isinstance(symbol, MethodDecl) and symbol.is_static):
            return self.error(expr.position, f"'{expr.name}' is static")
        return self._symbol_type(expr, symbol)

    @staticmethod
    def _is_this(expr: Expr) -> bool:
        return isinstance(expr, Name) and expr.name in ("this", "base")

    def _static_member(self, expr: Member, holder: Symbol | None) -> Type:
        if isinstance(holder, EnumDecl):
            value = next((v for v in holder.values if v.name == expr.name), None)
            if value is None:
                return self.error(expr.position, f"'{expr.name}' not found")
            expr.symbol = value
            return self._symbol_type(expr, value)
        if isinstance(holder, ClassDecl):
            member = holder.find(expr.name)
            if member is None:
                return self.error(expr.position, f"'{expr.name}' not found")
            expr.symbol = member
            self._check_visible(member, expr.position, holder)
            if isinstance(member, FieldDecl) or (isinstance(member, MethodDecl) and not member.is_static):
                return self.error(expr.position, f"Cannot use instance member '{expr.name}' without an object")
            return self._symbol_type(expr, member)
        assert isinstance(holder, BuiltinName)
        return self._builtin_member(expr, holder.name)

    def _builtin_member(self, expr: Member, holder: str) -> Type:
        full_name = f"{holder}.{expr.name}"
        named = NAMED_TYPES.get(holder)
        if isinstance(named, Integer) and expr.name in ("MinValue", "MaxValue"):
            expr.symbol = BuiltinMember(expr.position, full_name)
            expr.value = named.minimum if expr.name == "MinValue" else named.maximum
            return integer_type(expr.value) if named != NINT else NINT
        if full_name in builtins.CONSTANTS:
            expr.symbol = BuiltinMember(expr.position, full_name)
            type_, expr.value = builtins.CONSTANTS[full_name]
            return type_
        return self.error(expr.position, f"'{expr.name}' not found")

    def _check_visible(
        self, member: FieldDecl | ConstDecl | MethodDecl, position: Position, holder: ClassDecl | None
    ) -> None:
        owners = (self.owner, holder or self.owner)
        if member.visibility is Visibility.PRIVATE and owners != (member.owner, member.owner):
            self.error(position, f"Cannot access private member '{member.name}'")
        elif member.visibility is Visibility.PROTECTED:
            derived = self.owner is not None and (holder or self.owner).derives_from(self.owner)
            if not derived or (self.owner is not None and not self.owner.derives_from(member.owner)):
                self.error(position, f"Cannot access protected member '{member.name}'")

    # --- operators ---

    def _index(self, expr: Index) -> Type:
        holder = self.value_of(expr.object)
        self.value_of(expr.index)
        if holder == ERROR:
            return ERROR
        if not isinstance(holder, (ArrayType, StringType)):
            return self.error(expr.position, "Cannot index this object")
        self.convert(expr.index, LONG)
        index = expr.index.value
        if isinstance(index, int):
            if index < 0:
                self.error(expr.index.position, "Negative index")
            elif isinstance(holder, ArrayType) and holder.kind is Kind.STORAGE and index >= holder.length:
                self.error(expr.index.position, "Array index out of bounds")
        if isinstance(holder, StringType):
            expr.value = fold_index(expr.object.value, index)
            return INT
        expr.value = fold_index(expr.object.value, index)
        return holder.element

    def _unary(self, expr: Unary) -> Type:
        if expr.operator in ("++", "--"):
            return self._step(expr)
        operand = self.value_of(expr.operand)
        expr.value = fold_unary(expr.operator, expr.operand.value)
        if operand == ERROR:
            return ERROR
        if expr.operator == "!":
            self.convert(expr.operand, BOOL)
            return BOOL
        if expr.operator == "~" and isinstance(operand, EnumType):
            self._check_flags(operand, expr.position)
            return operand
        if not is_numeric(operand) or (expr.operator == "~" and isinstance(operand, Floating)):
            return self._cannot(expr.operand, DOUBLE if expr.operator == "-" else INT)
        if isinstance(expr.value, int):
            return integer_type(expr.value)
        return promote(operand, INT)

    def _cannot(self, expr: Expr, target: Type) -> Type:
        if expr.type == ERROR:
            return ERROR
        return self.error(expr.position, f"Cannot convert '{self.describe(expr)}' to '{target}'")

    def _step(self, expr: Unary | Postfix) -> Type:
        """Check `++` or `--`."""
        operand = self.value_of(expr.operand)
        if self.conditional:
            self.error(expr.position, f"{expr.operator} not allowed on the right side of {self.conditional}")
        self.modify(expr.operand)
        if operand != ERROR and not is_numeric(operand):
            return self._cannot(expr.operand, DOUBLE)
        return operand

    def _guarded(self, operator: str, expr: Expr) -> Type:
        """Check an operand that is only evaluated under a condition."""
        before = self.conditional
        self.conditional = operator
        type_ = self.value_of(expr)
        self.conditional = before
        return type_

    def _binary(self, expr: Binary) -> Type:
        operator = expr.operator
        if operator in ("&&", "||"):
            self.boolean(expr.left)
            self._guarded(operator, expr.right)
            self.convert(expr.right, BOOL)
            expr.value = fold_binary(operator, expr.left.value, expr.right.value)
            return BOOL
        left, right = self.value_of(expr.left), self.value_of(expr.right)
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
                return self._cannot(expr.right, STRING)
            return STRING if expr.value is not None else STRING_STORAGE
        if operator == "+" and isinstance(right, StringType):
            return self._cannot(expr.left, STRING)
        return self._arithmetic(expr)

    def _arithmetic(self, expr: Binary) -> Type:
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
            return self.error(expr.position, "Division by zero" if operator == "/" else "Mod zero")
        if isinstance(expr.value, int):
            return integer_type(expr.value)
        assert is_numeric(left)
        assert is_numeric(right)
        return promote(left, INT) if operator in ("<<", ">>") else promote(left, right)

    def _both_numeric(self, expr: Binary, target: Type) -> bool:
        """Check that both operands are numbers and, for a `target` of int, integers."""
        for operand in (expr.left, expr.right):
            if not is_numeric(operand.type) or (target == INT and isinstance(operand.type, Floating)):
                self._cannot(operand, target)
                return False
        return True

    def _check_flags(self, type_: EnumType, position: Position) -> None:
        if not type_.decl.flags:
            self.error(position, f"Define flags enumeration as 'enum* {type_.decl.name}'")

    def _equality(self, expr: Binary) -> Type:
        left, right = expr.left.type, expr.right.type
        if not self._comparable(left, right):
            self.error(expr.position, f"Cannot compare '{self.describe(expr.left)}' with '{self.describe(expr.right)}'")
        return BOOL

    @staticmethod
    def _comparable(left: Type, right: Type) -> bool:
        if is_numeric(left) and is_numeric(right):
            return True
        if NULL in (left, right):
            other = right if left == NULL else left
            return other == NULL or is_reference(other) or (isinstance(other, StringType) and not other.storage)
        if isinstance(left, StringType) and isinstance(right, StringType):
            return True
        if isinstance(left, ClassType) and isinstance(right, ClassType):
            if is_storage(left) and is_storage(right):
                return False
            dynamic = Kind.DYNAMIC in (left.kind, right.kind)
            if dynamic and (is_storage(left) or is_storage(right)):
                return False
            return left.decl.derives_from(right.decl) or right.decl.derives_from(left.decl)
        if isinstance(left, ArrayType) and isinstance(right, ArrayType):
            return left.element == right.element and not (is_storage(left) and is_storage(right))
        return (left == right and left in (BOOL,)) or (isinstance(left, EnumType) and left == right)

    def _select(self, expr: Select) -> Type:
        self.boolean(expr.condition)
        on_true, on_false = self._guarded("?", expr.on_true), self._guarded("?", expr.on_false)
        if ERROR in (on_true, on_false):
            return ERROR
        if isinstance(expr.condition.value, bool):
            expr.value = expr.on_true.value if expr.condition.value else expr.on_false.value
        if is_numeric(on_true) and is_numeric(on_false):
            return on_true if on_true == on_false else promote(on_true, on_false)
        if on_true == NULL or on_false == NULL:
            other = on_false if on_true == NULL else on_true
            if isinstance(other, (StringType, ClassType, ArrayType)):
                return other
        true_kind, false_kind = self.effective(expr.on_true), self.effective(expr.on_false)
        if isinstance(on_true, StringType) and isinstance(on_false, StringType):
            return on_true if on_true == on_false else STRING
        if isinstance(true_kind, ClassType) and isinstance(false_kind, ClassType):
            common: ClassDecl | None = true_kind.decl
            while common is not None and not false_kind.decl.derives_from(common):
                common = common.base
            if common is not None:
                return ClassType(common, self._weaker(true_kind.kind, false_kind.kind))
        if isinstance(true_kind, ArrayType) and isinstance(false_kind, ArrayType):
            kind = self._weaker(true_kind.kind, false_kind.kind)
            if true_kind.element == false_kind.element:
                return with_kind(true_kind, kind)
        if on_true == on_false:
            return on_true
        true_text, false_text = self.describe(expr.on_true), self.describe(expr.on_false)
        return self.error(expr.position, f"Incompatible types: '{true_text}' and '{false_text}'")

    def _assign(self, expr: Assign) -> Type:
        operator = expr.operator
        target = self.written_value(expr.target)
        source = self.check(expr.source) if isinstance(expr.source, Assign) else self.value_of(expr.source)
        self.modify(expr.target)
        if ERROR in (target, source):
            return ERROR
        if operator == "=":
            if is_storage(target):
                return self.error(expr.position, "Cannot copy object storage")
            self.convert(expr.source, target)
            return target
        if operator == "+=" and isinstance(target, StringType):
            if not target.storage:
                name = self._spell(expr.target)
                return self.error(expr.position, f"'{name}' is '{target}', concatenation requires 'string()'")
            if not isinstance(source, StringType):
                return self._cannot(expr.source, STRING)
            return target
        combined = Binary(expr.position, operator[:-1], expr.target, expr.source)
        combined.type = self._arithmetic(combined)
        if combined.type != ERROR and not self._convertible(combined, combined.type, target):
            return self._cannot(expr.source if source != target else combined, target)
        return target

    def written_value(self, expr: Expr) -> Type:
        """Check an expression that is only written to, which does not count as reading the variable."""
        var = self.lookup(expr.name) if isinstance(expr, Name) else None
        was_read = isinstance(var, Var) and var.is_read
        type_ = self.value_of(expr)
        if isinstance(var, Var):
            var.is_read = was_read
        return type_

    # --- objects ---

    def instantiate(self, decl: ClassDecl, position: Position) -> None:
        """Check that objects of a class may be created and note the use."""
        if decl.modifier in ("abstract", "static"):
            self.error(position, f"Cannot instantiate {decl.modifier} class")
        self.uses.add(decl)

    def _new(self, expr: New) -> Type:
        written = expr.written
        type_ = self.resolve_new(written, bool(expr.fields))
        if isinstance(type_, ClassType):
            self.check_fields(expr.fields, type_.decl)
        return type_

    def resolve_new(self, written: TypeNode, initialized: bool) -> Type:
        """Return the dynamic reference type that `new written` has; with an initializer it needs no parentheses."""
        if written.brackets:
            length = written.brackets[0].length
            if written.marks and not written.storage and written.marks not in ("?", "#", "!", "#?", "!?"):
                return self.error(written.position, "Invalid argument to new")
            if length is None:
                return self.error(written.position, "Invalid argument to new")
            self.value_of(length)
            self.convert(length, LONG)
            inner = TypeNode(written.position, written.name, written.storage, written.marks, written.brackets[1:])
            element = self.resolve_type(inner)
            self._instantiate_elements(element, written.position)
            return ERROR if element == ERROR else ArrayType(element, Kind.DYNAMIC)
        type_ = self.resolve_type(written)
        if type_ == ERROR:
            return ERROR
        if not isinstance(type_, ClassType) or written.marks or not (written.storage or initialized):
            return self.error(written.position, "Invalid argument to new")
        self.instantiate(type_.decl, written.position)
        return ClassType(type_.decl, Kind.DYNAMIC)

    def _instantiate_elements(self, type_: Type, position: Position) -> None:
        while isinstance(type_, ArrayType) and type_.kind is Kind.STORAGE:
            type_ = type_.element
        if isinstance(type_, ClassType) and type_.kind is Kind.STORAGE:
            self.instantiate(type_.decl, position)

    def instantiate_storage(self, type_: Type, position: Position) -> None:
        """Note the classes instantiated by a variable or a field of the given type."""
        self._instantiate_elements(type_, position)

    def check_fields(self, fields: list[FieldInit], decl: ClassDecl) -> None:
        """Check `{ Field = value }` of an object of the given class."""
        for init in fields:
            self.value_of(init.expr)
            symbol = decl.find(init.name)
            if symbol is None:
                self.error(init.position, f"'{init.name}' not found")
                continue
            if not isinstance(symbol, FieldDecl):
                self.error(init.position, "Expected a field")
                continue
            init.symbol = symbol
            self._check_visible(symbol, init.position, decl)
            self.convert(init.expr, symbol.type)

    def _is(self, expr: Is) -> Type:
        source = self.value_of(expr.object)
        if source != ERROR and (not isinstance(source, ClassType) or is_storage(source)):
            return self.error(expr.position, "Left hand side of the 'is' operator must be an object reference")
        decl = self.globals.get(expr.written.name)
        if source == ERROR:
            return BOOL
        assert isinstance(source, ClassType)
        if not isinstance(decl, ClassDecl) or expr.written.brackets:
            return self.error(expr.position, "Right hand side of the 'is' operator must be a class name")
        if expr.written.storage:
            return self.error(expr.position, "'is' with non-reference type")
        left = self._spell(expr.object)
        name = decl.name
        if source.decl.derives_from(decl):
            self.error(expr.position, f"'{left}' is '{source}', 'is {name}' would always equal 'true'")
        elif not decl.derives_from(source.decl):
            self.error(
                expr.position,
                f"'{source}' is not base class of '{name}', 'is {name}' would always equal 'false'",
            )
        if expr.variable is not None:
            expr.variable.type = self.resolve_type(expr.written)
            target = expr.variable.type
            if isinstance(target, ClassType) and not self._kind_fits(source.kind, target.kind):
                self.error(expr.position, f"'{source}' cannot be casted to '{target}'")
            expr.variable.is_assigned = True
            self.declare(expr.variable)
        return BOOL

    def declare(self, var: Var) -> None:
        """Make a local variable visible in the innermost scope."""
        if var.name in self.scopes[-1]:
            self.error(var.position, "Duplicate symbol")
        var.shadow = sum(var.name in scope for scope in self.scopes[:-1])
        self.scopes[-1][var.name] = var

    def _interpolated(self, expr: Interpolated) -> Type:
        texts: list[str] = []
        for part in expr.parts:
            if isinstance(part, str):
                texts.append(part)
                continue
            self.value_of(part.expr)
            self.check_format(part)
            value = part.expr.value
            plain = isinstance(value, (int, str)) and not isinstance(value, bool)
            if plain and not part.width and not part.format:
                texts.append(str(value))
        if len(texts) == len(expr.parts):
            expr.value = "".join(texts)
            return STRING
        return STRING_STORAGE

    # --- calls ---

    def _call(self, expr: Call) -> Type:
        target = expr.target
        for argument in expr.arguments:
            self.value_of(argument)
        if isinstance(target, Member):
            library = self.library_call(expr, target)
            if library is not None:
                return library
        self.check(target)
        symbol = target.symbol
        if symbol is None:
            return ERROR
        if not isinstance(symbol, MethodDecl):
            return self.error(expr.position, "Expected a method")
        expr.method = symbol
        if not symbol.is_virtual or not self._is_dispatched(target):
            self.uses.add(symbol)
        elif self.method is not None and self.method.is_constructor and isinstance(target, Name):
            self.diagnostics.unsupported(expr.position, "call of a virtual method in a constructor")
        self._check_mutator(expr, target, symbol)
        self._check_arguments(expr, symbol)
        self._check_throws(expr, symbol)
        if symbol.is_static:
            arguments = [argument.value for argument in expr.arguments]
            arguments += [self.default_value(p) for p in symbol.parameters[len(arguments) :]]
            if None not in arguments and arguments:
                expr.value = self._pure(symbol, arguments)
        return symbol.type

    @staticmethod
    def _is_dispatched(target: Name | Member) -> bool:
        """Whether a call of a virtual method depends on the runtime type of the object."""
        if isinstance(target, Name):
            return True
        is_base = isinstance(target.object, Name) and target.object.name == "base"
        return not is_base and not is_storage(target.object.type)

    def _pure(self, symbol: MethodDecl, arguments: list[Value]) -> Value:
        """Return the value of a pure call that fits the type of the method, for use in constants."""
        value = PureCall(symbol, arguments).evaluate()
        if isinstance(value, (bool, int, str, EnumValue)):
            return value
        return None

    def default_value(self, parameter: Var) -> Value:
        """Return the default of a parameter."""
        return parameter.init.value if parameter.init is not None else None

    def _check_mutator(self, expr: Call, target: Name | Member, symbol: MethodDecl) -> None:
        if not symbol.mutator or symbol.is_static:
            return
        if isinstance(target, Name) or (isinstance(target.object, Name) and target.object.name == "base"):
            if self.method is not None and not self.method.mutator:
                self.error(expr.position, f"Cannot call mutating method '{symbol.name}' from a non-mutating method")
            return
        holder = self.effective(target.object)
        if isinstance(holder, ClassType) and holder.kind is Kind.READ:
            self.error(expr.position, f"Cannot call mutating method '{symbol.name}' on a read-only reference")

    def _check_arguments(self, expr: Call, symbol: MethodDecl) -> None:
        if len(expr.arguments) > len(symbol.parameters):
            self.error(expr.position, f"Too many arguments for '{symbol.name}'")
            return
        for argument, parameter in zip(expr.arguments, symbol.parameters, strict=False):
            self.convert(argument, parameter.type, is_argument=True)
        missing = symbol.parameters[len(expr.arguments) :]
        if any(p.init is None for p in missing):
            self.error(expr.position, f"Too few arguments for '{symbol.name}'")

    def _check_throws(self, expr: Call, symbol: MethodDecl) -> None:
        for thrown in symbol.throws:
            if self.method is None:
                self.error(expr.position, f"Cannot call method '{symbol.name}' here because it is marked 'throws'")
            elif not self.may_throw(thrown.name):
                self.error(expr.position, f"Method marked 'throws {thrown.name}' called from a method without it")

    def may_throw(self, exception: str) -> bool:
        """Whether the current method declares the exception class or one of its bases."""
        assert self.method is not None
        declared = {thrown.name for thrown in self.method.throws}
        decl = self.globals.get(exception)
        while isinstance(decl, ClassDecl):
            if decl.name in declared:
                return True
            decl = decl.base
        return exception in declared or "Exception" in declared
