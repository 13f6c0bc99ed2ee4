"""The Python target: declarations and statements."""

from __future__ import annotations

from pyfut import doc
from pyfut.ast import (
    Assert,
    Assign,
    Binary,
    Block,
    Break,
    Call,
    ClassDecl,
    ConstDecl,
    ConstStmt,
    Continue,
    DoWhile,
    EnumDecl,
    EnumValue,
    Expr,
    ExprStmt,
    FieldDecl,
    For,
    Foreach,
    If,
    Is,
    MethodDecl,
    Name,
    NativeMember,
    NativeStmt,
    New,
    ObjectInit,
    Postfix,
    Return,
    Stmt,
    Switch,
    Throw,
    Unary,
    Var,
    VarStmt,
    Visibility,
    While,
)
from pyfut.python_expressions import PythonExpressions
from pyfut.types import VOID, ArrayType, Integer, StringType, Type, is_storage
from pyfut.walk import has_own_break, is_invariant, is_named, modified, statements_of, steps, walk, without_final_break

DOC_CODE = {"true": "True", "false": "False", "null": "None"}
REVERSED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
HELPERS = {
    "_div": (
        "def _div(a: int, b: int) -> int:",
        '\t"""Divide rounding toward zero."""',
        "\tquotient = abs(a) // abs(b)",
        "\treturn quotient if (a < 0) == (b < 0) else -quotient",
    ),
    "_mod": (
        "def _mod(a: int, b: int) -> int:",
        '\t"""Return the remainder with the sign of the dividend."""',
        "\tremainder = abs(a) % abs(b)",
        "\treturn remainder if a >= 0 else -remainder",
    ),
    "_round": (
        "def _round(a: float) -> int:",
        '\t"""Round to the nearest integer, halves away from zero."""',
        "\twhole = math.trunc(a)",
        "\treturn whole + math.trunc(2 * (a - whole))",
    ),
    "_cbrt": (
        "def _cbrt(a: float) -> float:",
        '\t"""Return the cube root."""',
        "\troot = math.copysign(abs(a) ** (1 / 3), a)",
        "\treturn root if root == 0 or math.isinf(root) else root - (root - a / root / root) / 3",
    ),
    "_fma": (
        "def _fma(a: float, b: float, c: float) -> float:",
        '\t"""Return a * b + c, rounded once."""',
        "\tif not (math.isfinite(a) and math.isfinite(b) and math.isfinite(c)):",
        "\t\treturn a * b + c",
        "\treturn float(fractions.Fraction(a) * fractions.Fraction(b) + fractions.Fraction(c))",
    ),
    "_SwitchBreak": (
        "class _SwitchBreak(Exception):",
        '\t"""Leaves a match statement early."""',
    ),
}


class PythonGenerator(PythonExpressions):
    """Writes one Python module."""

    def generate(self) -> str:
        """Return the text of the module."""
        for enum in self.program.enums:
            if enum.emitted:
                self._enum(enum)
        for decl in self.classes_bases_first():
            self._class(decl)
        self._main()
        body, self.lines = self.lines, []
        self.line('# Generated automatically with "pyfut". Do not edit.')
        if "_fma" in self.helpers:
            self.imports.add("fractions")
        if self.helpers & {"_fma", "_cbrt", "_round"}:
            self.imports.add("math")
        self.line("from __future__ import annotations")
        for module in sorted(self.imports):
            self.line(f"import {module}")
        for text in self.program.natives:
            self.verbatim(text)
        for helper in sorted(self.helpers):
            self._separate()
            for line in HELPERS[helper]:
                self.line(line)
        if self.resources:
            self._separate()
        for name, content in self.resources.items():
            self.line(f"{name} = {content!r}")
        return "\n".join(self.lines + body) + "\n"

    def _separate(self) -> None:
        self.line()
        self.line()

    def _doc(self, lines: list[str], extra: list[str] | None = None) -> None:
        """Write a docstring, if there is something to say."""
        text = doc.render(lines, lambda code: f"`{DOC_CODE.get(code, code)}`")
        text = [line.replace("\\", "\\\\").replace('"""', "'''") for line in text]
        if extra:
            text += ["", *extra] if text else extra
        if not text:
            return
        if len(text) == 1 and not text[0].endswith('"'):
            self.line(f'"""{text[0]}"""')
            return
        self.line(f'"""{text[0]}')
        for line in text[1:]:
            self.line(line)
        self.line('"""')

    # --- declarations ---

    def _enum(self, enum: EnumDecl) -> None:
        self.imports.add("enum")
        self._separate()
        self.line(f"class {self.type_name(enum)}(enum.{'Flag' if enum.flags else 'Enum'}):")
        self.depth += 1
        self._doc(enum.doc)
        for value in enum.values:
            self.line(f"{self.enum_member(value)} = {value.number}")
            self._doc(value.doc)
        self.depth -= 1

    def _class(self, decl: ClassDecl) -> None:
        self.owner = decl
        abstract = decl.modifier == "abstract" or any(m.call_type == "abstract" for m in decl.methods)
        base = self.type_name(decl.base) if decl.base is not None else "abc.ABC" if abstract else ""
        if base == "abc.ABC" or any(m.call_type == "abstract" for m in decl.methods):
            self.imports.add("abc")
        self._separate()
        self.line(f"class {self.type_name(decl)}{f'({base})' if base else ''}:")
        self.depth += 1
        start = len(self.lines)
        self._doc(decl.doc)
        for const in decl.constants:
            if const.visibility is not Visibility.PRIVATE or isinstance(const.type, ArrayType):
                self._const(const)
        self._local_consts(decl)
        for field in decl.fields:
            self.line(f"{self.member_name(field)}: {self.annotation(field.type)}")
            self._doc(field.doc)
        for member in decl.members:
            if isinstance(member, NativeMember):
                self.verbatim(member.text)
        self._init(decl)
        for method in decl.methods:
            self._method(method)
        if len(self.lines) == start:
            self.line("pass")
        self.depth -= 1
        self.owner = None

    def _const(self, const: ConstDecl) -> None:
        self.line(f"{self.const_name(const)} = {self.const_value(const.value, const.type)}")
        self._doc(const.doc)

    def _local_consts(self, decl: ClassDecl) -> None:
        for member in decl.members:
            if isinstance(member, MethodDecl):
                for const in member.local_consts:
                    if isinstance(const.type, ArrayType):
                        self._const(const)

    def _init(self, decl: ClassDecl) -> None:
        """Write `__init__`: base, fields in order, then the body of the constructor."""
        constructor = decl.constructor
        fields = [f for f in decl.fields if f.init is not None or is_storage(f.type) or self.is_string_storage(f.type)]
        if not fields and constructor is None:
            return
        self.line()
        self.line("def __init__(self) -> None:")
        self.depth += 1
        start = len(self.lines)
        self.method = constructor
        if constructor is not None:
            self._doc(constructor.doc)
        body_start = len(self.lines)
        if decl.base is not None:
            self.line("super().__init__()")
        for field in fields:
            self._init_field(field)
        if constructor is not None:
            self._body(statements_of(constructor.body))
        if len(self.lines) == body_start and start == body_start:
            self.line("pass")
        self.method = None
        self.depth -= 1

    def _init_field(self, field: FieldDecl) -> None:
        name = f"self.{self.member_name(field)}"
        if field.init is None or is_storage(field.type):
            self.line(f"{name} = {self.storage(field.type)}")
        else:
            self.line(f"{name} = {self.coerce(field.init, field.type)}")
        if isinstance(field.init, (ObjectInit, New)):
            self._field_inits(name, field.init)

    def _field_inits(self, name: str, init: ObjectInit | New) -> None:
        for part in init.fields:
            assert part.symbol is not None
            self.line(f"{name}.{self.member_name(part.symbol)} = {self.coerce(part.expr, part.symbol.type)}")

    def _method(self, method: MethodDecl) -> None:
        self.method = method
        self.declared = set()
        self.line()
        if method.is_static:
            self.line("@staticmethod")
        if method.call_type == "abstract":
            self.line("@abc.abstractmethod")
        parameters = [] if method.is_static else ["self"]
        for p in method.parameters:
            default = f" = {self.coerce(p.init, p.type)}" if p.init is not None else ""
            parameters.append(f"{self.var_name(p)}: {self.annotation(p.type)}{default}")
        result = self.annotation(method.type)
        self.line(f"def {self.member_name(method)}({', '.join(parameters)}) -> {result}:")
        self.depth += 1
        start = len(self.lines)
        self._doc(method.doc, self._doc_fields(method))
        documented = len(self.lines) > start
        body_start = len(self.lines)
        self._body(statements_of(method.body))
        if len(self.lines) == body_start and not documented:
            self.line("pass")
        self.depth -= 1
        self.method = None

    def _doc_fields(self, method: MethodDecl) -> list[str]:
        fields: list[tuple[str, list[str]]] = [(f"param {self.var_name(p)}", p.doc) for p in method.parameters]
        fields += [(f"raises {t.name}", t.doc) for t in method.throws]
        lines: list[str] = []
        for name, text in fields:
            rendered = [line for line in doc.render(text, lambda code: f"`{DOC_CODE.get(code, code)}`") if line]
            if rendered:
                lines.append(f":{name}: {rendered[0]}")
                lines += [f"\t{line}" for line in rendered[1:]]
        return [line.replace("\\", "\\\\") for line in lines]

    def _main(self) -> None:
        main = self.program.main
        if main is None or not main.owner.emitted:
            return
        self.imports.add("sys")
        call = f"{self.type_name(main.owner)}.main({'sys.argv[1:]' if main.parameters else ''})"
        self._separate()
        self.line('if __name__ == "__main__":')
        self.line(f"\t{call if main.type == VOID else f'sys.exit({call})'}")

    # --- statements ---

    def _body(self, statements: list[Stmt]) -> None:
        for stmt in statements:
            self._statement(stmt)

    def _suite(self, statements: list[Stmt]) -> None:
        """Write an indented block, which must not be empty."""
        self.depth += 1
        start = len(self.lines)
        self._body(statements)
        if not any(line.strip() and not line.strip().startswith("#") for line in self.lines[start:]):
            self.line("pass")
        self.depth -= 1

    def _statement(self, stmt: Stmt) -> None:
        if isinstance(stmt, Block):
            self._body(stmt.statements)
        elif isinstance(stmt, ExprStmt):
            self._expression_statement(stmt.expr)
        elif isinstance(stmt, VarStmt):
            self._var(stmt.var)
        elif isinstance(stmt, If):
            self._if(stmt, "if")
        elif isinstance(stmt, (While, DoWhile)):
            self._while(stmt)
        elif isinstance(stmt, For):
            self._for(stmt)
        elif isinstance(stmt, Foreach):
            self._foreach(stmt)
        elif isinstance(stmt, Switch):
            self._switch(stmt)
        elif isinstance(stmt, Break):
            if self.jumps[-1] == "switch":
                self.helpers.add("_SwitchBreak")
                self.line("raise _SwitchBreak")
            else:
                self.line("break")
        elif isinstance(stmt, Continue):
            self._continue()
        elif isinstance(stmt, Return):
            self._return(stmt)
        elif isinstance(stmt, Assert):
            self._assert(stmt)
        elif isinstance(stmt, Throw):
            message = self.expr(stmt.message) if stmt.message is not None else ""
            name = stmt.name if stmt.name == "Exception" else self.exception_name(stmt.name)
            self.line(f"raise {name}({message})")
        elif isinstance(stmt, NativeStmt):
            self.verbatim(stmt.text)
        else:
            assert isinstance(stmt, ConstStmt)

    def _simple(self, write: list[str]) -> None:
        """Write lines, with the increments taken out of their expressions around them."""
        before, after = self.take_steps()
        for line in before + write + after:
            self.line(line)

    def _expression_statement(self, expr: Expr) -> None:
        if isinstance(expr, (Unary, Postfix)) and expr.operator in ("++", "--"):
            self.plan_steps(expr.operand)
            self._simple([f"{self.expr(expr.operand)} {expr.operator[0]}= 1"])
        elif isinstance(expr, Assign):
            self.plan_steps(expr)
            self._simple(self._assignment(expr))
        elif isinstance(expr, Call) and expr.builtin.startswith("array."):
            self.plan_steps(expr)
            self._simple(self.array_statement(expr))
        else:
            self.plan_steps(expr)
            self._simple([self.expr(expr)])

    def _assignment(self, expr: Assign) -> list[str]:
        targets: list[Expr] = [expr.target]
        source = expr.source
        while isinstance(source, Assign):
            if expr.operator != "=" or source.operator != "=":
                assert isinstance(expr.source, Assign)
                outer = Assign(expr.position, expr.operator, expr.target, expr.source.target)
                return self._assignment(expr.source) + self._assignment(outer)
            targets.append(source.target)
            source = source.source
        if expr.operator != "=":
            return [self.compound(expr)]
        value = self.coerce(source, targets[-1].type)
        chain = " = ".join([self.expr(target) for target in targets] + [value])
        lines = [chain]
        if isinstance(source, New) and source.fields:
            name = self.expr(targets[0])
            start = len(self.lines)
            self._field_inits(name, source)
            lines += [line.strip() for line in self.lines[start:]]
            del self.lines[start:]
        return lines

    def _var(self, var: Var) -> None:
        name = self.var_name(var)
        init = var.init
        text = ""
        if is_storage(var.type) or (init is None and self.is_string_storage(var.type)):
            text = self.storage(var.type)
        elif init is not None:
            self.plan_steps(init)
            text = self.coerce(init, var.type)
        if not text:
            return
        annotated = name not in self.declared
        self.declared.add(name)
        self._simple([f"{name}: {self.annotation(var.type)} = {text}" if annotated else f"{name} = {text}"])
        if isinstance(init, (ObjectInit, New)):
            self._field_inits(name, init)

    def _condition(self, expr: Expr) -> str:
        """Return a condition as text, after writing what has to be executed before it is tested."""
        self.plan_steps(expr, in_condition=True)
        text = self.expr(expr)
        before, after = self.take_steps()
        for line in before:
            self.line(line)
        if not after:
            return text
        self.line(f"condition_ = {text}")
        for line in after:
            self.line(line)
        return "condition_"

    def _if(self, stmt: If, keyword: str) -> None:
        self.line(
            f"{keyword} {self._condition(stmt.condition)}:" if keyword == "if" else f"elif {self.expr(stmt.condition)}:"
        )
        self._suite(statements_of(stmt.on_true))
        on_false = stmt.on_false
        if isinstance(on_false, If) and not self.needs_statements(on_false.condition):
            self._if(on_false, "elif")
        elif on_false is not None:
            self.line("else:")
            self._suite(statements_of(on_false))

    def _loop(self, statements: list[Stmt], continuing: list[str] | None = None) -> None:
        """Write the body of a loop; `continuing` are the lines that a `continue` has to execute first."""
        self.jumps.append("loop")
        self.continuing.append(continuing or [])
        self._suite(statements)
        self.jumps.pop()
        self.continuing.pop()

    def _continue(self) -> None:
        lines = self.continuing[-1]
        for line in lines:
            self.line(line)
        self.line("continue")

    def _capture(self, write: object) -> list[str]:
        """Return the lines written by a call, at no indentation."""
        assert callable(write)
        saved, self.lines, depth, self.depth = self.lines, [], self.depth, 0
        write()
        captured, self.lines, self.depth = self.lines, saved, depth
        return captured

    def _while(self, stmt: While | DoWhile) -> None:
        body = statements_of(stmt.body)
        if isinstance(stmt, While):
            if not self.needs_statements(stmt.condition):
                self.line(f"while {self.expr(stmt.condition)}:")
                self._loop(body)
                return
            self.line("while True:")
            self.depth += 1
            self._exit_unless(stmt.condition)
            self.depth -= 1
            self._loop(body)
            return
        self.line("while True:")
        check = self._capture(lambda: self._exit_unless(stmt.condition))
        self._loop(body, check)
        self.depth += 1
        for line in check:
            self.line(line)
        self.depth -= 1

    def _exit_unless(self, condition: Expr) -> None:
        if condition.value is True:
            return
        self.line(f"if not ({self._condition(condition)}):")
        self.line("\tbreak")

    def _for(self, stmt: For) -> None:
        header = self._range(stmt)
        body = statements_of(stmt.body)
        if header is not None:
            self.line(header)
            self._loop(body)
            assert isinstance(stmt.init, VarStmt)
            self.nonnegative.discard(stmt.init.var)
            return
        if stmt.init is not None:
            self._statement(stmt.init)
        advance = stmt.advance
        lines = self._capture(lambda: self._expression_statement(advance)) if advance is not None else []
        condition = stmt.condition
        statements = condition is not None and self.needs_statements(condition)
        test = "True" if condition is None or statements else self.expr(condition)
        self.line(f"while {test}:")
        if condition is not None and statements:
            self.depth += 1
            self._exit_unless(condition)
            self.depth -= 1
        self._loop(body, lines)
        self.depth += 1
        for line in lines:
            self.line(line)
        self.depth -= 1

    def _range(self, stmt: For) -> str | None:
        """Return `for i in range(...):` if the loop counts, otherwise None."""
        init, condition, advance = stmt.init, stmt.condition, stmt.advance
        if not isinstance(init, VarStmt) or init.var.init is None or not isinstance(init.var.type, Integer):
            return None
        var = init.var
        if not isinstance(condition, Binary) or condition.operator not in REVERSED:
            return None
        left, right, operator = condition.left, condition.right, condition.operator
        if isinstance(right, Name) and right.symbol is var:
            left, right, operator = right, left, REVERSED[operator]
        if not (isinstance(left, Name) and left.symbol is var):
            return None
        step = self._step_of(advance, var)
        if step == 0 or (step > 0) != (operator in ("<", "<=")):
            return None
        symbols, words = modified(stmt.body)
        if var in symbols or is_named(var, words) or steps(init.var.init):
            return None
        if not isinstance(right.type, Integer) or not is_invariant(right, [stmt.body, stmt.advance]):
            return None
        if step > 0 and self.is_nonnegative(var.init if var.init is not None else right):
            self.nonnegative.add(var)
        start, stop = self.expr(init.var.init), self._stop(right, operator)
        unused = not any(isinstance(n, Name) and n.symbol is var for n in walk(stmt.body)) and not words
        name = "_" if unused else self.var_name(var)
        if step != 1:
            return f"for {name} in range({start}, {stop}, {step}):"
        return f"for {name} in range({stop}):" if start == "0" else f"for {name} in range({start}, {stop}):"

    def _stop(self, bound: Expr, operator: str) -> str:
        offset = {"<=": 1, ">=": -1}.get(operator, 0)
        if offset == 0:
            return self.expr(bound)
        if isinstance(bound.value, int):
            return str(bound.value + offset)
        return f"{self.expr(bound, 9)} {'+' if offset > 0 else '-'} 1"

    @staticmethod
    def _step_of(advance: Expr | None, var: Var) -> int:
        """Return by how much the loop advances `var`, 0 if not by a constant."""
        target = advance.target if isinstance(advance, Assign) else getattr(advance, "operand", None)
        if not (isinstance(target, Name) and target.symbol is var):
            return 0
        if isinstance(advance, Assign):
            value = advance.source.value
            if not isinstance(value, int) or advance.operator not in ("+=", "-="):
                return 0
            return value if advance.operator == "+=" else -value
        return 1 if getattr(advance, "operator", "") == "++" else -1

    def _foreach(self, stmt: Foreach) -> None:
        collection = self.expr(stmt.collection)
        if isinstance(stmt.collection.type, StringType):
            collection = f"map(ord, {collection})"
        self.line(f"for {self.var_name(stmt.var)} in {collection}:")
        self._loop(statements_of(stmt.body))

    def _switch(self, stmt: Switch) -> None:
        bodies = [without_final_break(case.body) for case in stmt.cases]
        default = without_final_break(stmt.default or [])
        early = any(has_own_break(body) for body in [*bodies, default])
        subject = self._condition(stmt.subject)
        if early:
            self.line("try:")
            self.depth += 1
        self.jumps.append("switch")
        self.line(f"match {subject}:")
        self.depth += 1
        for case, body in zip(stmt.cases, bodies, strict=True):
            patterns = " | ".join(self._pattern(label, stmt.subject.type) for label in case.labels)
            self.line(f"case {patterns}:")
            self._suite(body)
        if default:
            self.line("case _:")
            self._suite(default)
        self.depth -= 1
        self.jumps.pop()
        if early:
            self.depth -= 1
            self.line("except _SwitchBreak:")
            self.line("\tpass")

    def _pattern(self, label: Expr, type_: Type) -> str:
        if isinstance(label.value, EnumValue):
            return self.const_value(label.value, type_)
        if label.value is None:
            return "None"
        return self.const_value(label.value, type_)

    def _return(self, stmt: Return) -> None:
        assert self.method is not None
        if stmt.expr is None:
            self.line("return")
            return
        self.plan_steps(stmt.expr)
        text = self.coerce(stmt.expr, self.method.type)
        before, after = self.take_steps()
        for line in before:
            self.line(line)
        fields = isinstance(stmt.expr, New) and stmt.expr.fields
        if not after and not fields:
            self.line(f"return {text}")
            return
        self.line(f"result = {text}")
        if isinstance(stmt.expr, New):
            self._field_inits("result", stmt.expr)
        for line in after:
            self.line(line)
        self.line("return result")

    def _assert(self, stmt: Assert) -> None:
        condition = stmt.condition
        if isinstance(condition, Is) and condition.variable is not None:
            self.line(f"{self.var_name(condition.variable)} = {self.expr(condition.object)}")
            return
        message = f", {self.expr(stmt.message)}" if stmt.message is not None else ""
        self.line(f"assert {self._condition(condition)}{message}")
