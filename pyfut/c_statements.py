"""The C target: statements, with the lifetimes of what they create."""

from __future__ import annotations

from pyfut.ast import (
    Assert,
    Assign,
    Binary,
    Block,
    Break,
    Call,
    ConstDecl,
    ConstStmt,
    Continue,
    DoWhile,
    Expr,
    ExprStmt,
    For,
    Foreach,
    If,
    Is,
    Member,
    MethodDecl,
    Name,
    NativeStmt,
    New,
    ObjectInit,
    Return,
    Stmt,
    Switch,
    Throw,
    Var,
    VarStmt,
    While,
)
from pyfut.c_expressions import has_side_effects, is_zero
from pyfut.c_library import CLibrary
from pyfut.types import (
    BOOL,
    DOUBLE,
    FLOAT,
    INT,
    LONG,
    NINT,
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
    is_dynamic,
    is_storage,
)
from pyfut.walk import completes, has_own_break, statements_of, without_final_break


class CStatements(CLibrary):
    """Turns statements into C."""

    jumps: list[tuple[str, int, str]]
    """For each enclosing loop or switch: "loop", "switch" or "strings", the depth of its scopes, and the label
    behind a switch on strings."""
    labels: int
    storages: list[tuple[str, int]]
    """Local variables whose only use may have been evaluated at compile time, with the line behind their definition."""

    # --- scopes ---

    def scope(self, statements: list[Stmt]) -> None:
        """Write statements and what has to be done when their end is reached."""
        self.cleanups.append([])
        for stmt in statements:
            self.statement(stmt)
        pending = self.cleanups.pop()
        if completes(statements):
            for line in reversed(pending):
                self.line(line)

    def leave(self, depth: int, kept: str = "") -> None:
        """Write the cleanups of the scopes above `depth`, except one."""
        for pending in reversed(self.cleanups[depth:]):
            for line in reversed(pending):
                if line != kept:
                    self.line(line)

    def braces(self, statements: list[Stmt]) -> None:
        """Write a block."""
        self.line("{")
        self.depth += 1
        self.scope(statements)
        self.depth -= 1
        self.line("}")

    def controlled(self, header: str, stmt: Stmt, always_braces: bool = False) -> None:
        """Write a statement that belongs to a header such as `if (x)`; without braces if it is one simple line."""
        start = len(self.lines)
        self.line(f"{header} {{")
        self.depth += 1
        self.scope(statements_of(stmt))
        self.depth -= 1
        simple = isinstance(stmt, (ExprStmt, Return, Break, Continue, Throw)) and len(self.lines) == start + 2
        if simple and not always_braces:
            self.lines[start] = self.lines[start][:-2]
            return
        self.line("}")

    # --- statements ---

    def statement(self, stmt: Stmt) -> None:
        """Write a statement."""
        self.hoistable = self.declarable = True
        if isinstance(stmt, Block):
            self.braces(stmt.statements)
        elif isinstance(stmt, ExprStmt):
            self._expression_statement(stmt.expr)
        elif isinstance(stmt, VarStmt):
            self._var(stmt.var)
        elif isinstance(stmt, ConstStmt):
            self._local_const(stmt.const)
        elif isinstance(stmt, If):
            self._if(stmt)
        elif isinstance(stmt, While):
            self.controlled(f"while ({self._repeated(stmt.condition)})", self._loop(stmt.body))
            self.jumps.pop()
        elif isinstance(stmt, DoWhile):
            self.controlled("do", self._loop(stmt.body), always_braces=True)
            self.jumps.pop()
            self.declarable = False
            self.lines[-1] += f" while ({self._repeated(stmt.condition)});"
        elif isinstance(stmt, For):
            self._for(stmt)
        elif isinstance(stmt, Foreach):
            self._foreach(stmt)
        elif isinstance(stmt, Switch):
            self._switch(stmt)
        elif isinstance(stmt, (Break, Continue)):
            self._jump(stmt)
        elif isinstance(stmt, Return):
            self._return(stmt)
        elif isinstance(stmt, Assert):
            self._assert(stmt)
        elif isinstance(stmt, Throw):
            self._fail()
        else:
            assert isinstance(stmt, NativeStmt)
            self.verbatim(stmt.text)

    def _loop(self, body: Stmt) -> Stmt:
        self.jumps.append(("loop", len(self.cleanups), ""))
        return body

    def _repeated(self, expr: Expr) -> str:
        """Return an expression that is evaluated more than once."""
        with self.guarded():
            return self.expr(expr)

    def _expression_statement(self, expr: Expr) -> None:
        if isinstance(expr, Assign):
            self._assignment(expr)
        elif isinstance(expr, Call) and expr.builtin == "array.Fill" and not is_zero(expr.arguments[0]):
            self._fill(expr)
        elif isinstance(expr, Call) and self.is_owned(expr):
            self.line(f"{self.need('FuShared_Release')}({self._raw(expr)});")
        elif isinstance(expr, Call) and self.is_new_string(expr):
            self.includes.add("stdlib.h")
            self.line(f"free({self._raw(expr)});")
        else:
            text = self.expr(expr)
            if text and not (isinstance(expr, Call) and expr.method is not None and expr.method.throws):
                self.line(f"{text};")

    def _assignment(self, expr: Assign) -> None:
        type_ = expr.target.type
        if isinstance(expr.source, Assign) and (is_dynamic(type_) or type_ == STRING_STORAGE):
            self.unsupported(expr, f"chained assignment of '{type_}'", "C")
        elif is_dynamic(type_):
            self._assign_owned(expr, "FuShared_Replace", lambda: self.owned(expr.source, type_))
        elif type_ == STRING_STORAGE and expr.operator == "=":
            self._assign_owned(expr, "FuString_Replace", lambda: self.owned_string(expr.source))
        elif type_ == STRING_STORAGE:
            joined = Binary(expr.position, "+", expr.target, expr.source)
            joined.type = STRING_STORAGE
            self._assign_owned(expr, "FuString_Replace", lambda: self.owned_string(joined))
        else:
            self.line(f"{self.assignment(expr)};")

    def _assign_owned(self, expr: Assign, replace: str, value: object) -> None:
        """Write an assignment that gives up what the variable held before."""
        assert callable(value)
        if has_side_effects(expr.target):
            self.unsupported(expr, "side effect in the target of this assignment", "C")
        source = expr.source
        initialized = isinstance(source, New) and source.fields
        text = "" if initialized else value()
        target = self.expr(expr.target)
        cast = "" if replace == "FuString_Replace" else f"({self.declaration(expr.target.type, '').strip()}) "
        if isinstance(source, New) and source.fields:
            name = self.hoist(expr, "object initializer", source.type, self._raw(source))
            self.field_inits(f"{name}->", source)
            text = self._cast_up(name, source.type, expr.target.type)
        self.line(f"{target} = {cast}{self.need(replace)}({target}, {text});")

    def _var(self, var: Var) -> None:
        name = self.var_name(var)
        type_ = var.type
        declaration = self.declaration(type_, name)
        init = var.init
        if is_storage(type_):
            self._storage_var(var, declaration)
        elif is_dynamic(type_):
            value = self.null() if init is None else self.owned(init, type_)
            self.line(f"{declaration} = {value};")
            self.cleanups[-1].append(f"{self.need('FuShared_Release')}({name});")
            if isinstance(init, New):
                self.field_inits(f"{name}->", init)
        elif type_ == STRING_STORAGE:
            self.includes.add("stdlib.h")
            self.line(f"{declaration} = {self.null() if init is None else self.owned_string(init)};")
            self.cleanups[-1].append(f"free({name});")
        elif init is None:
            self.line(f"{declaration};")
        else:
            self.line(f"{declaration} = {self.coerce(init, type_)};")
        if not var.is_read:
            self.line(f"(void) {name};")
        elif is_storage(type_):
            self.storages.append((name, len(self.lines)))

    def _storage_var(self, var: Var, declaration: str) -> None:
        name = self.var_name(var)
        type_ = var.type
        if isinstance(type_, ArrayType):
            zeroed = isinstance(var.init, Expr) or self.destructs(type_)
            self.line(f"{declaration} = {self._zeros(type_)};" if zeroed else f"{declaration};")
        else:
            self.line(f"{declaration};")
        self.construct(name, type_)
        if isinstance(var.init, ObjectInit):
            self.field_inits(f"{name}.", var.init)
        self.cleanups[-1] += self.destruction(name, type_)

    def _zeros(self, type_: Type) -> str:
        while isinstance(type_, ArrayType) and type_.kind is Kind.STORAGE:
            type_ = type_.element
        if type_ == BOOL:
            self.includes.add("stdbool.h")
            return "{ false }"
        is_number = isinstance(type_, (Integer, Floating, EnumType, ClassType)) and not is_dynamic(type_)
        return "{ 0 }" if is_number else f"{{ {self.null()} }}"

    def _local_const(self, const: ConstDecl) -> None:
        assert self.method is not None
        if isinstance(const.type, ArrayType) and const in self.method.uses:
            self.line(self.const_array(const))

    def const_array(self, const: ConstDecl) -> str:
        """Return the definition of a constant array."""
        assert isinstance(const.type, ArrayType)
        type_ = const.type
        length = max(type_.length, 1)
        qualified = self._declare(type_.element, f"{self.const_name(const)}[{length}]", True, True)
        plain = qualified
        for c_type in ("uint8_t", "int8_t", "uint16_t", "int16_t", "int64_t", "ptrdiff_t", "int", "float", "double"):
            if qualified.startswith(f"{c_type} const "):
                plain = f"const {c_type} {qualified.removeprefix(f'{c_type} const ')}"
        if qualified.startswith("bool const "):
            plain = f"const bool {qualified.removeprefix('bool const ')}"
        return f"static {plain} = {self.const_value(const.value, type_)};"

    # --- lifetimes, provided by the generator of classes ---

    def construct(self, name: str, type_: Type) -> None:
        """Write the construction of a storage."""
        raise NotImplementedError

    def destruction(self, name: str, type_: Type) -> list[str]:
        """Return the lines that destruct a storage."""
        raise NotImplementedError

    def destructs(self, type_: Type) -> bool:
        """Whether something has to be done when a variable of the type goes away."""
        raise NotImplementedError

    def field_inits(self, path: str, init: ObjectInit | New) -> None:
        """Write the assignments of an object initializer."""
        decl = init.type.decl if isinstance(init.type, ClassType) else None
        for part in init.fields:
            assert part.symbol is not None
            assert decl is not None
            target = f"{path}{self._path(decl, part.symbol.owner)}{self.local_name(part.symbol.name)}"
            type_ = part.symbol.type
            if is_dynamic(type_):
                replace = self.need("FuShared_Replace")
                cast = f"({self.declaration(type_, '').strip()}) "
                self.line(f"{target} = {cast}{replace}({target}, {self.owned(part.expr, type_)});")
            elif type_ == STRING_STORAGE:
                replace = self.need("FuString_Replace")
                self.line(f"{target} = {replace}({target}, {self.owned_string(part.expr)});")
            else:
                self.line(f"{target} = {self.coerce(part.expr, type_)};")

    # --- control flow ---

    def _if(self, stmt: If, keyword: str = "if") -> None:
        self.declarable = keyword == "if"
        condition = self.expr(stmt.condition) if keyword == "if" else self._repeated(stmt.condition)
        nested = isinstance(stmt.on_true, (If, For, While, Foreach))
        self.controlled(f"{keyword} ({condition})", stmt.on_true, always_braces=nested and stmt.on_false is not None)
        if isinstance(stmt.on_false, If):
            self._if(stmt.on_false, "else if")
        elif stmt.on_false is not None:
            self.controlled("else", stmt.on_false)

    def _for(self, stmt: For) -> None:
        init = ""
        if isinstance(stmt.init, VarStmt):
            var = stmt.init.var
            value = f" = {self.coerce(var.init, var.type)}" if var.init is not None else ""
            init = f"{self.declaration(var.type, self.var_name(var))}{value}"
            if is_storage(var.type) or is_dynamic(var.type) or var.type == STRING_STORAGE:
                self.unsupported(
                    stmt.condition or stmt.init.var.init or Name(stmt.position, ""),
                    f"'{var.type}' as a loop variable",
                    "C",
                )
        elif isinstance(stmt.init, ExprStmt):
            init = self._inline(stmt.init.expr)
        with self.guarded():
            condition = f" {self.expr(stmt.condition)}" if stmt.condition is not None else ""
            advance = f" {self._inline(stmt.advance)}" if stmt.advance is not None else ""
        self.controlled(f"for ({init};{condition};{advance})", self._loop(stmt.body))
        self.jumps.pop()

    def _inline(self, expr: Expr) -> str:
        return self.assignment(expr) if isinstance(expr, Assign) else self.expr(expr)

    def _foreach(self, stmt: Foreach) -> None:
        var, collection = stmt.var, stmt.collection
        name = self.var_name(var)
        index = f"_{name}"
        type_ = collection.type
        if isinstance(type_, StringType):
            self.includes.add("stdint.h")
            header = f"for (const char *{index} = {self.expr(collection)}; *{index} != '\\0'; {index}++)"
            value = f"(uint8_t) *{index}"
        elif isinstance(type_, ArrayType) and type_.kind is Kind.STORAGE:
            header = f"for (int {index} = 0; {index} < {type_.length}; {index}++)"
            element = f"{self.expr(collection)}[{index}]"
            if is_storage(type_.element) and isinstance(type_.element, ClassType):
                element = f"&{element}"
            element = self._cast_up(element, type_.element, var.type)
            value = f"(int) {element}" if type_.element == LONG and var.type == INT else element
        else:
            header = f"for (int {index} = 0; {index} < argc - 1; {index}++)"
            value = f"{self.expr(collection)}[{index}]"
        self.line(f"{header} {{")
        self.depth += 1
        declared = var.type
        if is_dynamic(declared):
            declared = ClassType(declared.decl, Kind.WRITE) if isinstance(declared, ClassType) else declared
        self.line(f"{self.declaration(declared, name)} = {value};")
        if not var.is_read:
            self.line(f"(void) {name};")
        self._loop(stmt.body)
        self.scope(statements_of(stmt.body))
        self.jumps.pop()
        self.depth -= 1
        self.line("}")

    def _switch(self, stmt: Switch) -> None:
        if isinstance(stmt.subject.type, StringType):
            self._switch_strings(stmt)
            return
        self.line(f"switch ({self.expr(stmt.subject)}) {{")
        self.jumps.append(("switch", len(self.cleanups), ""))
        for case in stmt.cases:
            for label in case.labels:
                self.line(f"case {self._label(label, stmt.subject.type)}:")
            self._case(case.body)
        if stmt.default is not None or isinstance(stmt.subject.type, EnumType):
            self.line("default:")
            self._case(stmt.default or [Break(stmt.position)])
        self.jumps.pop()
        self.line("}")

    def _label(self, label: Expr, type_: Type) -> str:
        text = self.expr(label)
        return text if label.type == INT and text.startswith(("'", "0x")) else self.const_value(label.value, type_)

    def _case(self, body: list[Stmt]) -> None:
        self.depth += 1
        if any(isinstance(s, (VarStmt, ConstStmt)) for s in body):
            self.braces(body)
        else:
            self.scope(body)
        self.depth -= 1

    def _switch_strings(self, stmt: Switch) -> None:
        """Write comparisons; a `break` inside becomes a jump behind them."""
        subject = stmt.subject
        text = self.expr(subject)
        if has_side_effects(subject) or not isinstance(subject, Name):
            text = self.hoist(subject, "switch on this string", StringType(), text)
        self.includes.add("string.h")
        label = f"futswitch{self.labels}"
        self.labels += 1
        self.jumps.append(("strings", len(self.cleanups), label))
        keyword = "if"
        bodies = [without_final_break(case.body) for case in stmt.cases]
        for case, body in zip(stmt.cases, bodies, strict=True):
            tests = [
                f"{text} == NULL" if option.value is None else f"strcmp({text}, {self.expr(option)}) == 0"
                for option in case.labels
            ]
            self.line(f"{keyword} ({' || '.join(tests)}) {{")
            self._branch(body)
            keyword = "else if"
        default = without_final_break(stmt.default or [])
        if default:
            self.line("else {")
            self._branch(default)
        self.jumps.pop()
        if any(has_own_break(body) for body in [*bodies, default]):
            self.line(f"{label}: ;")

    def _branch(self, body: list[Stmt]) -> None:
        self.depth += 1
        self.scope(body)
        self.depth -= 1
        self.line("}")

    def _jump(self, stmt: Break | Continue) -> None:
        if isinstance(stmt, Break):
            kind, depth, label = self.jumps[-1]
            self.leave(depth)
            self.line(f"goto {label};" if kind == "strings" else "break;")
            return
        depth = next(depth for kind, depth, _ in reversed(self.jumps) if kind == "loop")
        self.leave(depth)
        self.line("continue;")

    def _return(self, stmt: Return) -> None:
        method = self.method
        assert method is not None
        expr = stmt.expr
        if expr is None:
            self.leave(0)
            result = " 0" if method is self.program.main else " true" if method.throws else ""
            self.line(f"return{result};")
            return
        if self._returns_local(expr):
            name = self.expr(expr)
            release = "free" if expr.type == STRING_STORAGE else "FuShared_Release"
            self.leave(0, kept=f"{release}({name});")
            self.line(f"return {self._cast_up(name, expr.type, method.type)};")
            return
        if isinstance(expr, New) and expr.fields:
            name = self.hoist(expr, "object initializer", expr.type, self._raw(expr))
            self.field_inits(f"{name}->", expr)
            text = self._cast_up(name, expr.type, method.type)
        elif is_dynamic(method.type):
            text = self.owned(expr, method.type)
        elif method.type == STRING_STORAGE:
            text = self.owned_string(expr)
        else:
            text = self.coerce(expr, method.type)
        if any(self.cleanups) and expr.value is None:
            self.line(f"{self.declaration(method.type, 'returnValue')} = {text};")
            text = "returnValue"
        self.leave(0)
        self.line(f"return {text};")

    def _returns_local(self, expr: Expr) -> bool:
        """Whether a local variable that owns something is returned, which passes its share on."""
        assert self.method is not None
        if not isinstance(expr, Name) or not isinstance(expr.symbol, Var):
            return False
        owns = is_dynamic(expr.type) or expr.type == STRING_STORAGE
        return owns and (is_dynamic(self.method.type) or self.method.type == STRING_STORAGE)

    def _assert(self, stmt: Assert) -> None:
        self.includes.add("assert.h")
        condition = stmt.condition
        if isinstance(condition, Is) and condition.variable is not None:
            var = condition.variable
            target = self.declaration(var.type, "").strip()
            if is_dynamic(var.type):
                self.unsupported(condition, "assertion of the class of a dynamic reference", "C")
            self.line(f"{self.declaration(var.type, self.var_name(var))} = ({target}) {self.expr(condition.object)};")
            return
        text = self.expr(condition)
        if stmt.message is not None:
            if not isinstance(stmt.message.value, str):
                self.unsupported(stmt.message, "assertion message that is not a literal", "C")
            text = f"{self.expr(condition, 6)} && {self.expr(stmt.message)}"
        self.line(f"assert({text});")
        assert self.method is not None
        if condition.value is False and self.method.type != VOID:
            self.includes.add("stdlib.h")
            self.line("abort();")

    # --- arrays ---

    def _fill(self, expr: Call) -> None:
        """Write a loop that fills an array with something else than zeros."""
        assert isinstance(expr.target, Member)
        holder = expr.target.object
        type_ = holder.type
        assert isinstance(type_, ArrayType)
        element = type_.element
        if is_dynamic(element) or is_storage(element) or element == STRING_STORAGE:
            self.unsupported(expr, "Fill of elements that are more than numbers or references", "C")
            return
        value, *part = expr.arguments
        text = self.coerce(value, element, True)
        hoisted = has_side_effects(value) or any(has_side_effects(a) for a in part)
        if hoisted:
            self.line("{")
            self.depth += 1
            self.line(f"{self._declare(element, '_value', True, True)} = {text};")
            text = "_value"
        count, start = (part[1], part[0]) if part else (None, None)
        counter = "ptrdiff_t" if count is not None and count.type in (NINT, LONG) else "int"
        self._include_type(counter)
        limit = str(type_.length) if count is None else self.expr(count, 11)
        begin = "" if start is None or start.value == 0 else f"{self.expr(start, 12)} + "
        if hoisted and start is not None:
            self.line(f"ptrdiff_t _start = {self.expr(start)};")
            self.line(f"ptrdiff_t _end = _start + {limit};")
            self.includes.add("stddef.h")
            self.line("for (ptrdiff_t _i = _start; _i < _end; _i++)")
            self.line(f"\t{self.expr(holder, 15)}[_i] = {text};")
        else:
            self.line(f"for ({counter} _i = 0; _i < {limit}; _i++)")
            self.line(f"\t{self.expr(holder, 15)}[{begin}_i] = {text};")
        if hoisted:
            self.depth -= 1
            self.line("}")

    # --- exceptions ---

    def _fail(self) -> None:
        """Write the return of the value that stands for an exception."""
        self.leave(0)
        assert self.method is not None
        self.line(f"return {self.failure(self.method)};")

    def failure(self, method: MethodDecl) -> str:
        """Return the value by which a method says that it threw an exception."""
        type_ = method.type
        if type_ == VOID:
            return "false"
        if isinstance(type_, Integer) and type_ not in (INT, NINT, LONG):
            return str(min(type_.minimum - 1, -1))
        if type_ in (FLOAT, DOUBLE):
            self.includes.add("math.h")
            return "NAN"
        if isinstance(type_, (StringType, ClassType, ArrayType)) and not type_.nullable:
            return self.null()
        self.diagnostics.unsupported(method.position, f"throwing from a method that returns '{type_}' in C")
        return "0"

    def checked(self, expr: Call, method: MethodDecl, text: str) -> tuple[str, int]:
        """Return the result of a call of a method that may throw, after writing the check of it."""
        failure = self.failure(method)
        if method.type == VOID:
            if not self.hoistable:
                return self.unsupported(expr, "call of a method that throws in this place", "C"), 15
            self._check(f"!{text}")
            return "", 15
        name = self.hoist(expr, "call of a method that throws", method.type, text)
        if self.is_owned(expr) or method.type == STRING_STORAGE:
            self._check(f"{name} == {failure}")
        else:
            self._check(f"isnan({name})" if failure == "NAN" else f"{name} == {failure}")
        return name, 15

    def _check(self, condition: str) -> None:
        self.line(f"if ({condition}) {{")
        self.depth += 1
        self._fail()
        self.depth -= 1
        self.line("}")
