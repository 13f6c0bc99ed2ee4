"""The syntax tree. The parser fills the constructor arguments, the semantic analysis the other fields."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Union

from pyfut.errors import Position
from pyfut.types import ERROR, Type

Value = Union[bool, int, float, str, "EnumValue", "list[Value]", None]
"""A compile-time value; None is "not known"."""


@dataclass(eq=False)
class Node:
    """Anything with a place in the source."""

    position: Position


# --- expressions ---


@dataclass(eq=False)
class Expr(Node):
    """An expression with its type and, where known, its compile-time value."""

    type: Type = field(default=ERROR, init=False)
    value: Value = field(default=None, init=False)


@dataclass(eq=False)
class Literal(Expr):
    """A number, character, string, `true`, `false` or `null`; `text` is its spelling."""

    literal: bool | int | float | str | None
    text: str


@dataclass(eq=False)
class Interpolation(Node):
    """`{expr,width:format}` inside an interpolated string."""

    expr: Expr
    width: int
    format: str


@dataclass(eq=False)
class Interpolated(Expr):
    """An interpolated string."""

    parts: list[str | Interpolation]


@dataclass(eq=False)
class Name(Expr):
    """An identifier, `this` or `base`."""

    name: str
    symbol: Symbol | None = field(default=None, init=False)


@dataclass(eq=False)
class Member(Expr):
    """`object.name`."""

    object: Expr
    name: str
    symbol: Symbol | None = field(default=None, init=False)


@dataclass(eq=False)
class Index(Expr):
    """`object[index]`."""

    object: Expr
    index: Expr


@dataclass(eq=False)
class Call(Expr):
    """`target(arguments)`; `builtin` names a method of the standard library, such as `Math.Sqrt`."""

    target: Name | Member
    arguments: list[Expr]
    method: MethodDecl | None = field(default=None, init=False)
    builtin: str = field(default="", init=False)


@dataclass(eq=False)
class Unary(Expr):
    """A prefix operator; `++` and `--` included."""

    operator: str
    operand: Expr


@dataclass(eq=False)
class Postfix(Expr):
    """`operand++` or `operand--`."""

    operator: str
    operand: Expr


@dataclass(eq=False)
class Binary(Expr):
    """A binary operator."""

    operator: str
    left: Expr
    right: Expr


@dataclass(eq=False)
class Assign(Expr):
    """`target operator value`; the value may be another assignment."""

    operator: str
    target: Expr
    source: Expr


@dataclass(eq=False)
class Select(Expr):
    """`condition ? on_true : on_false`."""

    condition: Expr
    on_true: Expr
    on_false: Expr


@dataclass(eq=False)
class New(Expr):
    """`new type { fields }`."""

    written: TypeNode
    fields: list[FieldInit]


@dataclass(eq=False)
class Is(Expr):
    """`object is type name`; without a name only the class is tested."""

    object: Expr
    written: TypeNode
    variable: Var | None


@dataclass(eq=False)
class Aggregate(Expr):
    """`{ items }` of a constant array."""

    items: list[Expr]


@dataclass(eq=False)
class Resource(Expr):
    """`resource<byte[]>(name)`: the bytes of a file."""

    name: Expr
    content: bytes = field(default=b"", init=False)


@dataclass(eq=False)
class FieldInit(Node):
    """`name = expr` of an object initialiser."""

    name: str
    expr: Expr
    symbol: FieldDecl | None = field(default=None, init=False)


@dataclass(eq=False)
class ObjectInit(Expr):
    """`{ fields }` of an object storage."""

    fields: list[FieldInit]


@dataclass(eq=False)
class TypeNode(Node):
    """A type as written: a name, the marks of an object, and brackets from the outermost to the innermost."""

    name: str
    storage: bool = False
    marks: str = ""
    brackets: list[Bracket] = field(default_factory=list)


@dataclass(eq=False)
class Bracket(Node):
    """`[length]` or `[]` with its marks."""

    length: Expr | None
    marks: str


# --- declarations ---


class Visibility(enum.Enum):
    """Who may use a member."""

    PRIVATE = "private"
    PROTECTED = "protected"
    INTERNAL = "internal"
    PUBLIC = "public"


@dataclass(eq=False)
class Var(Node):
    """A local variable, a parameter or the variable of a `foreach`."""

    name: str
    written: TypeNode
    init: Expr | None
    doc: list[str]
    type: Type = field(default=ERROR, init=False)
    is_parameter: bool = field(default=False, init=False)
    is_foreach: bool = field(default=False, init=False)
    is_read: bool = field(default=False, init=False)
    is_assigned: bool = field(default=False, init=False)
    shadow: int = field(default=0, init=False)
    """How many visible variables of the same name it hides."""


@dataclass(eq=False)
class FieldDecl(Node):
    """A field."""

    owner: ClassDecl
    visibility: Visibility
    name: str
    written: TypeNode
    init: Expr | None
    doc: list[str]
    type: Type = field(default=ERROR, init=False)


@dataclass(eq=False)
class ConstDecl(Node):
    """A constant of a class or of a block; `method` holds a local one."""

    owner: ClassDecl
    visibility: Visibility
    name: str
    written: TypeNode
    init: Expr
    doc: list[str]
    method: MethodDecl | None = field(default=None, init=False)
    type: Type = field(default=ERROR, init=False)
    value: Value = field(default=None, init=False)
    state: str = field(default="new", init=False)
    ordinal: int = field(default=0, init=False)
    """Distinguishes local constants of the same method and name."""


@dataclass(eq=False)
class Throws(Node):
    """An exception class of a `throws` clause."""

    name: str
    doc: list[str]


@dataclass(eq=False)
class MethodDecl(Node):
    """A method or, with the name of the class, a constructor."""

    owner: ClassDecl
    visibility: Visibility
    call_type: str
    """"" for normal, or static, abstract, virtual, override, sealed."""
    name: str
    written: TypeNode | None
    mutator: bool
    parameters: list[Var]
    throws: list[Throws]
    body: Stmt | None
    doc: list[str]
    type: Type = field(default=ERROR, init=False)
    uses: set[Symbol] = field(default_factory=set, init=False)
    """Methods called, array constants read and classes instantiated."""
    native_text: str = field(default="", init=False)
    local_consts: list[ConstDecl] = field(default_factory=list, init=False)
    overridden: MethodDecl | None = field(default=None, init=False)

    @property
    def is_static(self) -> bool:
        """Whether the method has no `this`."""
        return self.call_type == "static"

    @property
    def is_constructor(self) -> bool:
        """Whether this is the constructor of its class."""
        return self.written is None

    @property
    def is_virtual(self) -> bool:
        """Whether a call depends on the runtime type."""
        return self.call_type in ("abstract", "virtual", "override", "sealed")

    def introducing(self) -> MethodDecl:
        """Return the virtual or abstract method at the top of the chain of overrides."""
        return self if self.overridden is None else self.overridden.introducing()


@dataclass(eq=False)
class NativeMember(Node):
    """A `native` block in a class."""

    text: str


@dataclass(eq=False)
class ClassDecl(Node):
    """A class."""

    public: bool
    modifier: str
    """"" for normal, or static, abstract, sealed."""
    name: str
    base_name: str
    doc: list[str]
    emitted: bool
    """False for a class that was only read (`-r`)."""
    members: list[FieldDecl | ConstDecl | MethodDecl | NativeMember] = field(default_factory=list, init=False)
    base: ClassDecl | None = field(default=None, init=False)
    constructor: MethodDecl | None = field(default=None, init=False)
    uses: set[Symbol] = field(default_factory=set, init=False)
    """What the initial values of its fields use, classes of its storage fields included."""
    scope: dict[str, FieldDecl | ConstDecl | MethodDecl] = field(default_factory=dict, init=False)

    def find(self, name: str) -> FieldDecl | ConstDecl | MethodDecl | None:
        """Return the member called `name` of the class or of its bases."""
        found = self.scope.get(name)
        return found if found is not None or self.base is None else self.base.find(name)

    def derives_from(self, other: ClassDecl) -> bool:
        """Whether `other` is this class or one of its bases."""
        return self is other or (self.base is not None and self.base.derives_from(other))

    @property
    def fields(self) -> list[FieldDecl]:
        """The fields declared in this class."""
        return [m for m in self.members if isinstance(m, FieldDecl)]

    @property
    def methods(self) -> list[MethodDecl]:
        """The methods declared in this class, without the constructor."""
        return [m for m in self.members if isinstance(m, MethodDecl) and not m.is_constructor]

    @property
    def constants(self) -> list[ConstDecl]:
        """The constants declared in this class."""
        return [m for m in self.members if isinstance(m, ConstDecl)]


@dataclass(eq=False)
class EnumValue(Node):
    """A member of an enumeration."""

    owner: EnumDecl
    name: str
    init: Expr | None
    doc: list[str]
    number: int = field(default=0, init=False)


@dataclass(eq=False)
class EnumDecl(Node):
    """An enumeration; `flags` for `enum*`."""

    public: bool
    flags: bool
    name: str
    doc: list[str]
    emitted: bool
    values: list[EnumValue] = field(default_factory=list, init=False)


@dataclass(eq=False)
class BuiltinName(Node):
    """A class of the standard library, such as `Math`, or a type name used before a dot, such as `int`."""

    name: str


@dataclass(eq=False)
class BuiltinMember(Node):
    """A property or constant of the standard library, such as `Length` or `Math.PI`."""

    name: str


Symbol = Var | FieldDecl | ConstDecl | MethodDecl | ClassDecl | EnumDecl | EnumValue | BuiltinName | BuiltinMember


# --- statements ---


@dataclass(eq=False)
class Stmt(Node):
    """A statement."""


@dataclass(eq=False)
class Block(Stmt):
    """`{ statements }`."""

    statements: list[Stmt]


@dataclass(eq=False)
class ExprStmt(Stmt):
    """An expression with a side effect."""

    expr: Expr


@dataclass(eq=False)
class VarStmt(Stmt):
    """A definition of a local variable."""

    var: Var


@dataclass(eq=False)
class ConstStmt(Stmt):
    """A definition of a local constant."""

    const: ConstDecl


@dataclass(eq=False)
class If(Stmt):
    """`if`, with `else` or without."""

    condition: Expr
    on_true: Stmt
    on_false: Stmt | None


@dataclass(eq=False)
class While(Stmt):
    """`while`."""

    condition: Expr
    body: Stmt


@dataclass(eq=False)
class DoWhile(Stmt):
    """`do` ... `while`."""

    body: Stmt
    condition: Expr


@dataclass(eq=False)
class For(Stmt):
    """`for`; every part of the header may be missing."""

    init: Stmt | None
    condition: Expr | None
    advance: Expr | None
    body: Stmt


@dataclass(eq=False)
class Foreach(Stmt):
    """`foreach` over an array, the arguments of `Main` or a string."""

    var: Var
    collection: Expr
    body: Stmt


@dataclass(eq=False)
class Case(Node):
    """The labels and statements of a `case`."""

    labels: list[Expr]
    body: list[Stmt]


@dataclass(eq=False)
class Switch(Stmt):
    """`switch`; `default` is None when it is missing."""

    subject: Expr
    cases: list[Case]
    default: list[Stmt] | None


@dataclass(eq=False)
class Break(Stmt):
    """`break`."""


@dataclass(eq=False)
class Continue(Stmt):
    """`continue`."""


@dataclass(eq=False)
class Return(Stmt):
    """`return`."""

    expr: Expr | None


@dataclass(eq=False)
class Assert(Stmt):
    """`assert`, with its message."""

    condition: Expr
    message: Expr | None


@dataclass(eq=False)
class Throw(Stmt):
    """`throw name(message)`."""

    name: str
    message: Expr | None


@dataclass(eq=False)
class NativeStmt(Stmt):
    """A `native` block among statements."""

    text: str


@dataclass(eq=False)
class Program:
    """Everything that was read."""

    classes: list[ClassDecl] = field(default_factory=list)
    enums: list[EnumDecl] = field(default_factory=list)
    natives: list[str] = field(default_factory=list)
    directories: list[str] = field(default_factory=list)
    """Where resources are searched."""
    main: MethodDecl | None = None
