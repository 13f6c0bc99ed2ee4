"""Types as written, and declarations: classes with their members, enumerations, variables."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from pyfut.syntax.ast.node import ERROR, Expr, Node, Stmt, Symbol, Type, Value


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


class Visibility(enum.Enum):
    """Who may use a member."""

    PRIVATE = "private"
    PROTECTED = "protected"
    INTERNAL = "internal"
    PUBLIC = "public"


@dataclass(eq=False)
class Var(Symbol):
    """A local variable, a parameter or the variable of a `foreach`."""

    name: str
    written: TypeNode
    init: Expr | None
    doc: list[str]
    type: Type = field(default=ERROR, init=False)
    is_parameter: bool = field(default=False, init=False)
    is_foreach: bool = field(default=False, init=False)
    is_assigned: bool = field(default=False, init=False)
    shadow: int = field(default=0, init=False)
    """How many visible variables of the same name it hides."""


@dataclass(eq=False)
class FieldDecl(Symbol):
    """A field."""

    owner: ClassDecl
    visibility: Visibility
    name: str
    written: TypeNode
    init: Expr | None
    doc: list[str]
    type: Type = field(default=ERROR, init=False)


@dataclass(eq=False)
class ConstDecl(Symbol):
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
class MethodDecl(Symbol):
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
class ClassDecl(Symbol):
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
class EnumValue(Symbol):
    """A member of an enumeration."""

    owner: EnumDecl
    name: str
    init: Expr | None
    doc: list[str]
    number: int = field(default=0, init=False)


@dataclass(eq=False)
class EnumDecl(Symbol):
    """An enumeration; `flags` for `enum*`."""

    public: bool
    flags: bool
    name: str
    doc: list[str]
    emitted: bool
    values: list[EnumValue] = field(default_factory=list, init=False)


@dataclass(eq=False)
class BuiltinName(Symbol):
    """A class of the standard library, such as `Math`, or a type name used before a dot, such as `int`."""

    name: str


@dataclass(eq=False)
class BuiltinMember(Symbol):
    """A property or constant of the standard library, such as `Length` or `Math.PI`."""

    name: str


@dataclass(eq=False)
class Program:
    """Everything that was read."""

    classes: list[ClassDecl] = field(default_factory=list)
    enums: list[EnumDecl] = field(default_factory=list)
    natives: list[str] = field(default_factory=list)
    directories: list[str] = field(default_factory=list)
    """Where resources are searched."""
    main: MethodDecl | None = None
