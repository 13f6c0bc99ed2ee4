"""Classes and enumerations."""

from __future__ import annotations

from pyfut.checks.types import STRING_STORAGE, ArrayType, is_storage
from pyfut.naming import upper_case
from pyfut.output import Output
from pyfut.python.documentation import Documentation
from pyfut.python.expressions import Expressions
from pyfut.python.module import Module
from pyfut.python.names import Names
from pyfut.python.simple_statements import SimpleStatements
from pyfut.python.statements import Statements
from pyfut.python.types import Types
from pyfut.python.values import Values
from pyfut.syntax import ast
from pyfut.syntax.walk import without_fields


class Classes:
    """Writes classes and enumerations."""

    def __init__(self, output: Output, module: Module, names: Names) -> None:
        self.output = output
        self.module = module
        self.names = names
        self.documentation = Documentation(output, names)
        self.types = Types(module, names)
        self.values = Values(module, names)
        self.expressions = Expressions(module, names, self.values)
        self.simple = SimpleStatements(output, names, self.types, self.values, self.expressions)
        self.statements = Statements(output, module, names, self.values, self.expressions, self.simple)

    def write_enum(self, decl: ast.EnumDecl) -> None:
        """Write an enumeration."""
        self.module.imports.add("enum")
        self.output.line(f"class {self.names.type(decl)}(enum.{'Flag' if decl.flags else 'Enum'}):")
        with self.output.indented():
            self.documentation.write(decl.doc)
            for value in decl.values:
                self.output.line(f"{upper_case(value.name)} = {value.number}")
                self.documentation.write(value.doc)

    def write_class(self, decl: ast.ClassDecl) -> None:
        """Write a class."""
        has_abstract = any(method.call_type == "abstract" for method in decl.methods)
        base = self.names.type(decl.base) if decl.base is not None else ""
        if not base and (has_abstract or decl.modifier == "abstract"):
            base = "abc.ABC"
        if has_abstract or base == "abc.ABC":
            self.module.imports.add("abc")
        self.output.line(f"class {self.names.type(decl)}{f'({base})' if base else ''}:")
        with self.output.indented():
            start = len(self.output.lines)
            self._members(decl)
            if len(self.output.lines) == start:
                self.output.line("pass")

    def _members(self, decl: ast.ClassDecl) -> None:
        self.documentation.write(decl.doc)
        self._consts(decl)
        for field in decl.fields:
            self.output.line(f"{self.names.member(field)}: {self.types.annotation(field.type)}")
            self.documentation.write(field.doc)
        for member in decl.members:
            if isinstance(member, ast.NativeMember):
                self.output.verbatim(member.text)
        self._constructor(decl)
        for method in decl.methods:
            self._method(method)

    def _consts(self, decl: ast.ClassDecl) -> None:
        """Write the constants that others may use, and all arrays."""
        for const in decl.constants:
            if const.visibility is not ast.Visibility.PRIVATE or isinstance(const.type, ArrayType):
                self._const(const)
        for member in decl.members:
            if isinstance(member, ast.MethodDecl):
                for const in member.local_consts:
                    if isinstance(const.type, ArrayType):
                        self._const(const)

    def _const(self, const: ast.ConstDecl) -> None:
        self.output.line(f"{self.names.const(const)} = {self.values.const(const.value, const.type)}")
        self.documentation.write(const.doc)

    def _constructor(self, decl: ast.ClassDecl) -> None:
        """Write `__init__`: base, fields in order, then the body of the constructor."""
        constructor = decl.constructor
        fields = [f for f in decl.fields if f.init is not None or is_storage(f.type) or f.type == STRING_STORAGE]
        if not fields and constructor is None:
            return
        self.output.line()
        self.output.line("def __init__(self) -> None:")
        with self.output.indented():
            start = len(self.output.lines)
            self.module.method = constructor
            if constructor is not None:
                self.documentation.write(constructor.doc)
            if decl.base is not None:
                self.output.line("super().__init__()")
            for field in fields:
                self._field(field)
            if constructor is not None:
                self.statements.body(constructor.body)
            if len(self.output.lines) == start:
                self.output.line("pass")
            self.module.method = None

    def _field(self, field: ast.FieldDecl) -> None:
        """Write the initial value of a field."""
        name = f"self.{self.names.member(field)}"
        if field.init is None or is_storage(field.type):
            self.output.line(f"{name} = {self.values.storage(field.type)}")
        else:
            self.output.line(f"{name} = {self.expressions.coerce(without_fields(field.init), field.type)}")
        self.simple.field_values(name, field.init)

    def _method(self, method: ast.MethodDecl) -> None:
        self.module.method = method
        self.output.line()
        if method.is_static:
            self.output.line("@staticmethod")
        if method.call_type == "abstract":
            self.output.line("@abc.abstractmethod")
        parameters = [] if method.is_static else ["self"]
        parameters += [self._parameter(p) for p in method.parameters]
        result = self.types.annotation(method.type)
        self.output.line(f"def {self.names.member(method)}({', '.join(parameters)}) -> {result}:")
        with self.output.indented():
            start = len(self.output.lines)
            self.documentation.write_method(method)
            self.statements.body(method.body)
            if len(self.output.lines) == start:
                self.output.line("pass")
        self.module.method = None

    def _parameter(self, parameter: ast.Var) -> str:
        init = parameter.init
        default = f" = {self.expressions.coerce(init, parameter.type)}" if init is not None else ""
        return f"{self.names.var(parameter)}: {self.types.annotation(parameter.type)}{default}"
