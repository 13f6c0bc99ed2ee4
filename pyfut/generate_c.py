"""The C target: the source file and the header."""

from __future__ import annotations

import re

from pyfut import doc
from pyfut.ast import (
    ClassDecl,
    ConstDecl,
    EnumDecl,
    FieldDecl,
    MethodDecl,
    NativeMember,
    New,
    ObjectInit,
    Program,
    Symbol,
    Visibility,
)
from pyfut.c_expressions import introduces_virtual
from pyfut.c_statements import CStatements
from pyfut.errors import Diagnostics
from pyfut.naming import camel_case, upper_case
from pyfut.types import (
    INT,
    STRING_STORAGE,
    VOID,
    ArrayType,
    ClassType,
    Integer,
    Kind,
    Type,
    is_dynamic,
    is_storage,
)
from pyfut.walk import completes, statements_of

GENERATED = '// Generated automatically with "pyfut". Do not edit.'


class CGenerator(CStatements):
    """Writes one `.c` file and its header."""

    def __init__(self, program: Program, diagnostics: Diagnostics, prefix: str) -> None:
        super().__init__(program, diagnostics, prefix)
        self.jumps = []
        self.labels = 0
        self.storages = []
        self.reached = self._reach()

    # --- what is needed ---

    def _reach(self) -> set[Symbol]:
        """Return everything that the public interface uses, so that the C compiler finds nothing unused."""
        pending: list[Symbol] = []
        words: set[str] = set()
        for decl in self.program.classes:
            for member in decl.members:
                if isinstance(member, MethodDecl):
                    words.update(re.findall(r"\w+", member.native_text))
        for decl in self.program.classes:
            if not decl.emitted:
                continue
            for method in decl.methods:
                named = f"{self.type_name(decl)}_{method.name}" in words
                if named or method is self.program.main or (decl.public and method.visibility is Visibility.PUBLIC):
                    pending.append(method)
            pending += [c for c in decl.constants if self.const_name(c) in words or self._is_public_const(c)]
            if self._has_new(decl):
                pending.append(decl)
        reached: set[Symbol] = set()
        while pending:
            symbol = pending.pop()
            if symbol in reached:
                continue
            reached.add(symbol)
            if isinstance(symbol, MethodDecl):
                pending += symbol.uses
            elif isinstance(symbol, ClassDecl):
                pending += symbol.uses
                if not self._is_abstract(symbol):
                    pending += self._final_methods(symbol)
                if symbol.constructor is not None:
                    pending.append(symbol.constructor)
                if symbol.base is not None:
                    pending.append(symbol.base)
        return reached

    def _final_methods(self, decl: ClassDecl) -> list[Symbol]:
        """Return the virtual methods as objects of exactly this class execute them."""
        introduced = [m for c in self._vtbl_classes(decl) for m in c.methods if m.is_virtual and m.overridden is None]
        return [self._final(method, decl) for method in introduced]

    @staticmethod
    def _is_public_const(const: ConstDecl) -> bool:
        return const.owner.public and const.visibility is Visibility.PUBLIC

    @staticmethod
    def _has_new(decl: ClassDecl) -> bool:
        constructor = decl.constructor
        public = constructor is not None and constructor.visibility is Visibility.PUBLIC
        return decl.public and public and decl.modifier != "abstract"

    @staticmethod
    def _in_header(method: MethodDecl) -> bool:
        return (
            method.owner.public
            and method.visibility is Visibility.PUBLIC
            and method.call_type != "abstract"
            and method.name != "Main"
        )

    def _is_exception(self, decl: ClassDecl | None) -> bool:
        return decl is not None and (decl.name == "Exception" or self._is_exception(decl.base))

    def _classes(self) -> list[ClassDecl]:
        """Return the emitted classes that exist in C, bases and classes of storage fields first."""
        ordered: list[ClassDecl] = []

        def add(decl: ClassDecl) -> None:
            if decl in ordered or not decl.emitted or self._is_exception(decl):
                return
            if decl.base is not None:
                add(decl.base)
            for field in decl.fields:
                held = self._held_class(field.type)
                if held is not None:
                    add(held)
            ordered.append(decl)

        for decl in self.program.classes:
            add(decl)
        return ordered

    @staticmethod
    def _held_class(type_: Type) -> ClassDecl | None:
        while isinstance(type_, ArrayType) and type_.kind is Kind.STORAGE:
            type_ = type_.element
        return type_.decl if isinstance(type_, ClassType) and type_.kind is Kind.STORAGE else None

    # --- lifetimes ---

    def constructs(self, decl: ClassDecl) -> bool:
        """Whether an object of the class has to be initialized."""
        needed = decl.constructor is not None or any(self._initialized(field) for field in decl.fields)
        base = decl.base
        return needed or self._sets_vtbl(decl) or (base is not None and self.constructs(base))

    def _initialized(self, field: FieldDecl) -> bool:
        held = self._held_class(field.type)
        return field.init is not None or self.destructs(field.type) or (held is not None and self.constructs(held))

    def destructs(self, type_: Type) -> bool:
        """Whether something has to be done when a variable of the type goes away."""
        if isinstance(type_, ArrayType) and type_.kind is Kind.STORAGE:
            return self.destructs(type_.element)
        if is_dynamic(type_) or type_ == STRING_STORAGE:
            return True
        return isinstance(type_, ClassType) and type_.kind is Kind.STORAGE and self.class_destructs(type_.decl)

    def class_destructs(self, decl: ClassDecl) -> bool:
        """Whether an object of the class holds anything to be released."""
        base = decl.base
        inherited = base is not None and self.class_destructs(base)
        return inherited or any(self.destructs(field.type) for field in decl.fields)

    def construct(self, name: str, type_: Type) -> None:
        """Write the construction of an object storage or of the elements of an array."""
        held = self._held_class(type_)
        if held is None or not self.constructs(held):
            return
        closing = 0
        while isinstance(type_, ArrayType):
            index = f"_i{closing}"
            self.line(f"for (int {index} = 0; {index} < {type_.length}; {index}++)")
            self.depth += 1
            name += f"[{index}]"
            type_ = type_.element
            closing += 1
        self.line(f"{self.type_name(held)}_Construct(&{name});")
        self.depth -= closing

    def destruction(self, name: str, type_: Type) -> list[str]:
        """Return the lines that destruct a variable or a field."""
        if not self.destructs(type_):
            return []
        if is_dynamic(type_):
            return [f"{self.need('FuShared_Release')}({name});"]
        if type_ == STRING_STORAGE:
            self.includes.add("stdlib.h")
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
        return [f"{header}{self.type_name(type_.decl)}_Destruct(&{name});"]

    def element_life(self, type_: Type) -> tuple[str, str]:
        """Return the functions that construct and destruct an element on the heap."""
        null = self.null()
        if is_dynamic(type_):
            return null, self.need("FuShared_ReleaseElement")
        if type_ == STRING_STORAGE:
            return null, self.need("FuString_FreeElement")
        if isinstance(type_, ArrayType) and type_.kind is Kind.STORAGE:
            if self._held_class(type_) is not None or self.destructs(type_):
                self.diagnostics.unsupported(
                    self.method.position if self.method is not None else self.program.classes[0].position,
                    "array of arrays of objects on the heap in C",
                )
            return null, null
        if isinstance(type_, ClassType) and type_.kind is Kind.STORAGE:
            name = self.type_name(type_.decl)
            constructor = f"(FuMethodPtr) {name}_Construct" if self.constructs(type_.decl) else null
            return constructor, f"(FuMethodPtr) {name}_Destruct" if self.class_destructs(type_.decl) else null
        return null, null

    # --- tables of virtual methods ---

    def _sets_vtbl(self, decl: ClassDecl) -> bool:
        return introduces_virtual(self.vtbl_root(decl)) and not self._is_abstract(decl)

    @staticmethod
    def _is_abstract(decl: ClassDecl) -> bool:
        return decl.modifier == "abstract"

    def _vtbl_classes(self, decl: ClassDecl) -> list[ClassDecl]:
        """Return the class and its bases that introduce virtual methods, the outermost base first."""
        bases = self._vtbl_classes(decl.base) if decl.base is not None else []
        return [*bases, decl] if introduces_virtual(decl) else bases

    def _vtbl_type(self, decl: ClassDecl) -> None:
        """Write the structure of pointers to the virtual methods that a class introduces."""
        self.line("typedef struct {")
        earlier = self._vtbl_classes(decl)[:-1]
        if earlier:
            self.line(f"\t{self.type_name(earlier[-1])}Vtbl base;")
        for method in decl.methods:
            if method.is_virtual and method.overridden is None:
                self.line(f"\t{self._signature(method, f'(*{camel_case(method.name)})')};")
        self.line(f"}} {self.type_name(decl)}Vtbl;")

    def _vtbl_instance(self, decl: ClassDecl) -> None:
        classes = self._vtbl_classes(decl)
        self.line(f"static const {self.type_name(classes[-1])}Vtbl vtbl = {{")
        self.depth += 1
        for depth, introducing in enumerate(classes):
            prefix = ".base" * (len(classes) - 1 - depth)
            for method in introducing.methods:
                if not method.is_virtual or method.overridden is not None:
                    continue
                final = decl.find(method.name)
                assert isinstance(final, MethodDecl)
                value = self.method_name(final)
                if final.owner is not introducing:
                    value = f"({self._signature(method, '(*)')}) {value}"
                if final.call_type == "abstract":
                    value = self.null()
                self.line(f"{prefix}.{camel_case(method.name)} = {value},")
        self.depth -= 1
        self.line("};")
        path = self._path(decl, self.vtbl_root(decl))
        root = self.type_name(self.vtbl_root(decl))
        cast = "" if len(classes) == 1 else f"(const {root}Vtbl *) "
        self.line(f"self->{path}vtbl = {cast}&vtbl;")

    # --- signatures ---

    def _signature(self, method: MethodDecl, name: str) -> str:
        """Return a prototype under the given name."""
        parameters = []
        if not method.is_static:
            kind = Kind.WRITE if method.mutator else Kind.READ
            parameters.append(self.declaration(ClassType(method.owner, kind), "self"))
        before, self.method = self.method, method
        parameters += [self.declaration(p.type, self.var_name(p)) for p in method.parameters]
        self.method = before
        text = f"{name}({', '.join(parameters) or 'void'})"
        if method.throws and method.type == VOID:
            self.includes.add("stdbool.h")
            return f"bool {text}"
        return self.declaration(method.type, text)

    def _doc(self, lines: list[str], extra: list[str] | None = None) -> None:
        text = [line.replace("*/", "* /") for line in doc.render(lines, lambda code: f"`{code}`")]
        text += extra or []
        if not text:
            return
        if len(text) == 1:
            self.line(f"/** {text[0]} */")
            return
        self.line("/**")
        for line in text:
            self.line(f" * {line}".rstrip())
        self.line(" */")

    def _method_doc(self, method: MethodDecl) -> None:
        extra: list[str] = []
        for parameter in method.parameters:
            rendered = [line for line in doc.render(parameter.doc, lambda code: f"`{code}`") if line]
            if rendered:
                extra.append(f"@param {self.var_name(parameter)} {rendered[0]}")
                extra += [f"  {line}" for line in rendered[1:]]
        self._doc(method.doc, extra)

    # --- the source file ---

    def generate(self, header_name: str) -> str:
        """Return the text of the `.c` file."""
        classes = self._classes()
        for enum in self.program.enums:
            if enum.emitted and not enum.public:
                self.line()
                self._enum(enum)
        private = [decl for decl in classes if not decl.public and decl.modifier != "static"]
        if private:
            self.line()
        for decl in private:
            self.line(f"typedef struct {self.type_name(decl)} {self.type_name(decl)};")
        for decl in classes:
            if decl.modifier != "static":
                self._struct(decl)
        self._constants(classes)
        self._prototypes(classes)
        for decl in classes:
            self._definitions(decl)
        body, self.lines = self.lines, []
        self.line(GENERATED)
        for text in self.program.natives:
            self.verbatim(text)
        for include in sorted(self.includes):
            self.line(f"#include <{include}>")
        self.line(f'#include "{header_name}"')
        for text in self.helpers.values():
            self.line()
            self.lines += text.split("\n")
        return "\n".join(self.lines + body) + "\n"

    def _enum(self, enum: EnumDecl) -> None:
        self._doc(enum.doc)
        self.line("typedef enum {")
        self.depth += 1
        name = self.type_name(enum)
        following = 0
        for index, value in enumerate(enum.values):
            self._doc(value.doc)
            number = f" = {value.number}" if value.init is not None or value.number != following else ""
            following = value.number + 1
            comma = "," if index < len(enum.values) - 1 else ""
            self.line(f"{name}_{upper_case(value.name)}{number}{comma}")
        self.depth -= 1
        self.line(f"}} {name};")

    def _struct(self, decl: ClassDecl) -> None:
        name = self.type_name(decl)
        if introduces_virtual(decl):
            self.line()
            self._vtbl_type(decl)
        self.line()
        if not decl.public:
            self._doc(decl.doc)
        self.line(f"struct {name} {{")
        self.depth += 1
        if decl.base is not None:
            self.line(f"{self.type_name(decl.base)} base;")
        if introduces_virtual(decl) and self.vtbl_root(decl) is decl:
            self.line(f"const {name}Vtbl *vtbl;")
        for member in decl.members:
            if isinstance(member, FieldDecl):
                self._doc(member.doc)
                self.line(f"{self.declaration(member.type, self.local_name(member.name))};")
            elif isinstance(member, NativeMember):
                self.verbatim(member.text)
        self.depth -= 1
        self.line("};")

    def _constants(self, classes: list[ClassDecl]) -> None:
        lines: list[str] = []
        for decl in classes:
            for const in decl.constants:
                if self._is_public_const(const):
                    continue
                if isinstance(const.type, ArrayType):
                    if const in self.reached:
                        lines.append(self.const_array(const))
                elif const.visibility is not Visibility.PRIVATE:
                    lines.append(self._define(const))
        if lines:
            self.line()
        for line in lines:
            self.line(line)

    def _define(self, const: ConstDecl) -> str:
        value = self.const_value(const.value, const.type)
        if isinstance(const.init.type, Integer):
            value = value.removesuffix(".0")
        if " " in value and not value.startswith('"'):
            value = f"({value})"
        return f"#define {self.const_name(const)} {value}"

    def _prototypes(self, classes: list[ClassDecl]) -> None:
        lines: list[str] = []
        for decl in classes:
            name = self.type_name(decl)
            if decl in self.reached and self.constructs(decl):
                lines.append(f"static void {name}_Construct({name} *self);")
            if decl in self.reached and self.class_destructs(decl):
                lines.append(f"static void {name}_Destruct({name} *self);")
            for method in decl.methods:
                if self._is_static_function(method):
                    lines.append(f"static {self._signature(method, self.method_name(method))};")
        if lines:
            self.line()
        for line in lines:
            self.line(line)

    def _is_static_function(self, method: MethodDecl) -> bool:
        return (
            method in self.reached
            and method.call_type != "abstract"
            and not self._in_header(method)
            and method is not self.program.main
        )

    def _definitions(self, decl: ClassDecl) -> None:
        self.owner = decl
        if decl.modifier == "static":
            for member in decl.members:
                if isinstance(member, NativeMember):
                    self.line()
                    self.verbatim(member.text)
        if decl in self.reached and self.constructs(decl):
            self._construct_function(decl)
        if decl in self.reached and self.class_destructs(decl):
            self._destruct_function(decl)
        if self._has_new(decl):
            self._new_and_delete(decl)
        for method in decl.methods:
            if method is self.program.main:
                self._main(method)
            elif self._in_header(method):
                self._function(method, "")
            elif self._is_static_function(method):
                self._function(method, "static ")
        self.owner = None

    def _construct_function(self, decl: ClassDecl) -> None:
        name = self.type_name(decl)
        self.line()
        self.line(f"static void {name}_Construct({name} *self)")
        self.line("{")
        self.depth += 1
        self.method = decl.constructor
        self.cleanups = [[]]
        if decl.base is not None and self.constructs(decl.base):
            self.line(f"{self.type_name(decl.base)}_Construct(&self->base);")
        if self._sets_vtbl(decl):
            self._vtbl_instance(decl)
        for field in decl.fields:
            if self._initialized(field):
                self._init_field(field)
        self.cleanups = []
        if decl.constructor is not None:
            self.scope(statements_of(decl.constructor.body))
        if not re.search(r"\bself\b", "\n".join(self.lines[self.lines.index("{", len(self.lines) - self._since()) :])):
            self.line("(void) self;")
        self.method = None
        self.depth -= 1
        self.line("}")

    def _since(self) -> int:
        """Return how many lines there are since the function started."""
        count = 0
        while self.lines[-1 - count] != "{":
            count += 1
        return count + 1

    def _init_field(self, field: FieldDecl) -> None:
        target = f"self->{self.local_name(field.name)}"
        type_ = field.type
        init = field.init
        self.hoistable = self.declarable = True
        if isinstance(type_, ArrayType) and type_.kind is Kind.STORAGE:
            if init is not None or self._held_class(type_) is None:
                self.includes.add("string.h")
                self.line(f"memset({target}, 0, sizeof({target}));")
            self.construct(target, type_)
        elif is_storage(type_):
            self.construct(target, type_)
            if isinstance(init, ObjectInit):
                self.field_inits(f"{target}.", init)
        elif is_dynamic(type_):
            self.line(f"{target} = {self.null() if init is None else self.owned(init, type_)};")
            if isinstance(init, New):
                self.field_inits(f"{target}->", init)
        elif type_ == STRING_STORAGE:
            self.line(f"{target} = {self.null() if init is None else self.owned_string(init)};")
        else:
            assert init is not None
            self.line(f"{target} = {self.coerce(init, type_)};")

    def _destruct_function(self, decl: ClassDecl) -> None:
        name = self.type_name(decl)
        self.line()
        self.line(f"static void {name}_Destruct({name} *self)")
        self.line("{")
        self.depth += 1
        for field in reversed(decl.fields):
            for line in self.destruction(f"self->{self.local_name(field.name)}", field.type):
                self.line(line)
        if decl.base is not None and self.class_destructs(decl.base):
            self.line(f"{self.type_name(decl.base)}_Destruct(&self->base);")
        self.depth -= 1
        self.line("}")

    def _new_and_delete(self, decl: ClassDecl) -> None:
        self.includes.add("stdlib.h")
        name = self.type_name(decl)
        self.line()
        self.line(f"{name} *{name}_New(void)")
        self.line("{")
        self.line(f"\t{name} *self = ({name} *) malloc(sizeof({name}));")
        self.line("\tif (self != NULL)")
        self.line(f"\t\t{name}_Construct(self);")
        self.line("\treturn self;")
        self.line("}")
        self.line()
        self.line(f"void {name}_Delete({name} *self)")
        self.line("{")
        if self.class_destructs(decl):
            self.line("\tif (self == NULL)")
            self.line("\t\treturn;")
            self.line(f"\t{name}_Destruct(self);")
        self.line("\tfree(self);")
        self.line("}")

    def _function(self, method: MethodDecl, storage_class: str) -> None:
        self.line()
        if storage_class:
            self._method_doc(method)
        self._body(method, f"{storage_class}{self._signature(method, self.method_name(method))}", [])

    def _body(self, method: MethodDecl, signature: str, prologue: list[str]) -> None:
        """Write a function; parameters that it does not use are marked so."""
        self.line(signature)
        self.line("{")
        start = len(self.lines)
        self.depth += 1
        self.method = method
        self.temporaries = self.labels = 0
        self.cleanups = [
            [f"{self.need('FuShared_Release')}({self.var_name(p)});" for p in method.parameters if is_dynamic(p.type)]
        ]
        self.cleanups[0] += [f"free({self.var_name(p)});" for p in method.parameters if p.type == STRING_STORAGE]
        statements = statements_of(method.body)
        for line in prologue:
            self.line(line)
        self.scope(statements)
        if completes(statements):
            self.leave(0)
            if method.throws and method.type == VOID:
                self.line("return true;")
        self.cleanups = []
        for name, at in reversed(self.storages):
            if len(re.findall(rf"\b{name}\b", "\n".join(self.lines[start:]))) == 1:
                indentation = "\t" * (len(self.lines[at - 1]) - len(self.lines[at - 1].lstrip("\t")))
                self.lines.insert(at, f"{indentation}(void) {name};")
        self.storages = []
        text = "\n".join(self.lines[start:])
        unread = [self.var_name(p) for p in method.parameters if not p.is_read]
        names = [] if method.is_static else ["self"]
        names += ["argc", "argv"] if prologue else [self.var_name(p) for p in method.parameters]
        unused = [f"\t(void) {n};" for n in names if n in unread or not re.search(rf"\b{n}\b", text)]
        self.lines[start:start] = unused
        self.method = None
        self.depth -= 1
        self.line("}")

    def _main(self, method: MethodDecl) -> None:
        self.line()
        prologue: list[str] = []
        signature = "int main(void)"
        if method.parameters:
            name = self.var_name(method.parameters[0])
            prologue = [f"const char *const *{name} = (const char *const *) (argv + 1);"]
            if not method.parameters[0].is_read:
                prologue.append(f"(void) {name};")
            signature = "int main(int argc, char **argv)"
        self._body(method, signature, prologue)
        if method.type == VOID:
            self.lines.insert(-1, "\treturn 0;")
        assert method.type in (VOID, INT)

    # --- the header ---

    def header(self) -> str:
        """Return the text of the `.h` file."""
        saved = self.lines, self.includes
        self.lines, self.includes = [], set()
        classes = [decl for decl in self._classes() if decl.public]
        for enum in self.program.enums:
            if enum.emitted and enum.public:
                self.line()
                self._enum(enum)
        objects = [decl for decl in classes if decl.modifier != "static"]
        for decl in objects:
            self.line()
            self._doc(decl.doc)
            self.line(f"typedef struct {self.type_name(decl)} {self.type_name(decl)};")
        for decl in classes:
            self._public_members(decl)
        body = self.lines
        self.lines = []
        self.line(GENERATED)
        self.line("#pragma once")
        for include in sorted(self.includes & {"stdbool.h", "stddef.h", "stdint.h"}):
            self.line(f"#include <{include}>")
        self.lines += ["#ifdef __cplusplus", 'extern "C" {', "#endif", *body]
        self.lines += ["", "#ifdef __cplusplus", "}", "#endif", ""]
        text = "\n".join(self.lines)
        self.lines, self.includes = saved
        return text

    def _public_members(self, decl: ClassDecl) -> None:
        name = self.type_name(decl)
        if decl.modifier == "static" and decl.doc:
            self.line()
            self._doc(decl.doc)
        for const in decl.constants:
            if self._is_public_const(const):
                self.line()
                self._doc(const.doc)
                self.line(self.const_array(const) if isinstance(const.type, ArrayType) else self._define(const))
        if self._has_new(decl):
            self.line()
            if decl.constructor is not None:
                self._doc(decl.constructor.doc)
            self.line(f"{name} *{name}_New(void);")
            self.line(f"void {name}_Delete({name} *self);")
        for method in decl.methods:
            if self._in_header(method):
                self.line()
                self._method_doc(method)
                self.line(f"{self._signature(method, self.method_name(method))};")
