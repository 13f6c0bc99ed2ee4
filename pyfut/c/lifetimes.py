"""How objects come and go."""

from __future__ import annotations

from pyfut.c.hierarchy import held_class, sets_table
from pyfut.c.kit import Kit
from pyfut.checks.types import STRING_STORAGE, ArrayType, ClassType, Kind, Type, is_dynamic
from pyfut.syntax import ast


class Lifetimes:
    """Knows which types have to be constructed and destructed, and writes the calls."""

    def __init__(self, kit: Kit) -> None:
        self.output = kit.output
        self.place = kit.place
        self.needs = kit.needs
        self.names = kit.names

    def constructs(self, decl: ast.ClassDecl) -> bool:
        """Whether an object of the class has to be initialized."""
        needed = decl.constructor is not None or any(self.initialized(field) for field in decl.fields)
        base = decl.base
        return needed or sets_table(decl) or (base is not None and self.constructs(base))

    def initialized(self, field: ast.FieldDecl) -> bool:
        """Whether a constructor has to do something for a field."""
        held = held_class(field.type)
        return field.init is not None or self.destructs(field.type) or (held is not None and self.constructs(held))

    def destructs(self, type_: Type) -> bool:
        """Whether something has to be done when a variable of the type goes away."""
        if isinstance(type_, ArrayType) and type_.kind is Kind.STORAGE:
            return self.destructs(type_.element)
        if is_dynamic(type_) or type_ == STRING_STORAGE:
            return True
        return isinstance(type_, ClassType) and type_.kind is Kind.STORAGE and self.class_destructs(type_.decl)

    def class_destructs(self, decl: ast.ClassDecl) -> bool:
        """Whether an object of the class holds anything to be released."""
        base = decl.base
        inherited = base is not None and self.class_destructs(base)
        return inherited or any(self.destructs(field.type) for field in decl.fields)

    def construct(self, name: str, type_: Type) -> None:
        """Write the construction of an object storage or of the elements of an array."""
        held = held_class(type_)
        if held is None or not self.constructs(held):
            return
        closing = 0
        while isinstance(type_, ArrayType):
            index = f"_i{closing}"
            self.output.line(f"for (int {index} = 0; {index} < {type_.length}; {index}++)")
            self.output.depth += 1
            name += f"[{index}]"
            type_ = type_.element
            closing += 1
        self.output.line(f"{self.names.type(held)}_Construct(&{name});")
        self.output.depth -= closing

    def destruction(self, name: str, type_: Type) -> list[str]:
        """Return the lines that destruct a variable or a field."""
        if not self.destructs(type_):
            return []
        if is_dynamic(type_):
            return [f"{self.needs.helper('FuShared_Release')}({name});"]
        if type_ == STRING_STORAGE:
            self.needs.include("stdlib.h")
            return [f"free({name});"]
        header = ""
        count = 0
        while isinstance(type_, ArrayType) and type_.kind is Kind.STORAGE:
            header += f"for (int _i{count} = 0; _i{count} < {type_.length}; _i{count}++) "
            name += f"[_i{count}]"
            type_ = type_.element
            count += 1
        if not isinstance(type_, ClassType) or type_.kind is not Kind.STORAGE:
            return [f"{header}{line}" for line in self.destruction(name, type_)]
        return [f"{header}{self.names.type(type_.decl)}_Destruct(&{name});"]

    def element_life(self, type_: Type) -> tuple[str, str]:
        """Return the functions that construct and destruct an element on the heap."""
        null = self.needs.null()
        if is_dynamic(type_):
            return null, self.needs.helper("FuShared_ReleaseElement")
        if type_ == STRING_STORAGE:
            return null, self.needs.helper("FuString_FreeElement")
        if isinstance(type_, ArrayType) and type_.kind is Kind.STORAGE:
            if held_class(type_) is not None or self.destructs(type_):
                around = self.place.method or self.place.program.classes[0]
                construct = "array of arrays of objects on the heap in C"
                self.place.diagnostics.unsupported(around.position, construct)
            return null, null
        if isinstance(type_, ClassType) and type_.kind is Kind.STORAGE:
            name = self.names.type(type_.decl)
            constructor = f"(FuMethodPtr) {name}_Construct" if self.constructs(type_.decl) else null
            return constructor, f"(FuMethodPtr) {name}_Destruct" if self.class_destructs(type_.decl) else null
        return null, null
