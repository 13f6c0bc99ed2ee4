"""Generated Python, rewritten so that numba compiles its kernels.

Every method that needs nothing but numbers and arrays becomes a function: its own arguments, preceded by the fields of
the object that it and what it calls use. Fields that some of these functions change are arrays of one number. Where a
field is an enumeration (the type of a tensor), there is one function for each member, so that only what this member
needs is compiled. Methods with a loop then call their function, and all others stay as they are.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

_PREAMBLE = '''"""Generated from {name} by pyllama3/backends/numba_source.py. Do not edit."""

from __future__ import annotations
import numba
import numpy as np
from pyllama3.backends import c_arithmetic as _c

_NOTHING = np.zeros(0, np.uint8)
_compiled = numba.njit(cache=True, nogil=True, error_model="numpy")

def _array(data):
    """Return the memory of an array as a numpy array: functions are compiled for nothing else. None is an empty one."""
    if data.__class__ is memoryview and data.obj.__class__ is np.ndarray and data.nbytes == data.obj.nbytes:
        return data.obj  # much faster than a new array
    return _NOTHING if data is None else np.asarray(data)
'''
_BINARY = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "div",
    ast.BitAnd: "and_",
    ast.BitOr: "or_",
    ast.BitXor: "xor",
    ast.LShift: "shl",
    ast.RShift: "shr",
}
_COMPARISONS = {ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge"}
_DTYPES = {"f": "float32", "d": "float64", "b": "int8", "h": "int16", "i": "int32", "B": "uint8"}
_BUILTINS = {"min", "max", "int", "float", "abs", "len", "range", "round"}
_MODULES = {"array", "math", "struct"}
_MODULE = "_Module"
"""Stands for the class of functions outside of classes, which pyfut writes for what Python computes otherwise."""
_SCALARS = ("int", "float", "bool")


@dataclass
class _Method:
    """A method that can be a function."""

    node: ast.FunctionDef
    is_static: bool
    fields: set[str] = field(default_factory=set)
    """Fields that it uses."""
    written: set[str] = field(default_factory=set)
    calls: set[tuple[str, str]] = field(default_factory=set)
    """Class and name of the methods that it calls."""
    loops: bool = False


class _Class:
    """A generated class."""

    def __init__(self, node: ast.ClassDef, types: dict[str, dict[str, int]]) -> None:
        self.node = node
        self.name = node.name
        self.types = {
            item.target.id: ast.unparse(item.annotation)
            for item in node.body
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
        }
        """Annotation of each field."""
        self.kind = next((name for name, type in self.types.items() if type in types), None)
        """Field that is an enumeration."""
        self.members = types[self.types[self.kind]] if self.kind else {}
        self.constants = {
            item.targets[0].id: item.value
            for item in node.body
            if isinstance(item, ast.Assign) and isinstance(item.targets[0], ast.Name)
        }
        self.methods: dict[str, _Method] = {}
        self.cells: set[str] = set()
        """Fields that functions change."""


def rewrite(source: str, name: str) -> str:
    """Return the source of a module with the classes of a generated one; `name` is the file that it came from."""
    return _Rewriter(source).result(name)


class _Rewriter:
    def __init__(self, source: str) -> None:
        self.module = ast.parse(source)
        self.module.body = [node for node in self.module.body if not _is_future(node)]
        nodes = [node for node in self.module.body if isinstance(node, ast.ClassDef)]
        enums = [node for node in nodes if node.bases]
        self.enums = {
            node.name: {
                item.targets[0].id: ast.literal_eval(item.value)
                for item in node.body
                if isinstance(item, ast.Assign) and isinstance(item.targets[0], ast.Name)
            }
            for node in enums
        }
        helpers = [node for node in self.module.body if isinstance(node, ast.FunctionDef)]
        nodes.append(ast.ClassDef(name=_MODULE, bases=[], keywords=[], body=list(helpers), decorator_list=[]))
        self.helpers = {node.name for node in helpers}
        self.classes = {node.name: _Class(node, self.enums) for node in nodes if node not in enums}
        for owner in self.classes.values():
            for node in owner.node.body:
                if isinstance(node, ast.FunctionDef) and node.name != "__init__":
                    method = self._analyse(owner, node)
                    if method:
                        owner.methods[node.name] = method
        self._close()
        self._select()

    def method(self, key: tuple[str, str]) -> _Method | None:
        """Return a method that can be a function."""
        return self.classes[key[0]].methods.get(key[1])

    def function(self, key: tuple[str, str], member: str) -> str:
        """Return the name of the function that a method became, for a member of the enumeration of its class."""
        owner = self.classes[key[0]]
        name = f"{key[0]}_{key[1]}"
        return f"{name}_{member}" if owner.kind in owner.methods[key[1]].fields else name

    def fields(self, key: tuple[str, str]) -> list[str]:
        """Return the fields that are arguments of a function."""
        owner = self.classes[key[0]]
        return sorted(owner.methods[key[1]].fields - {owner.kind})

    def _is_plain(self, annotation: ast.expr | str | None) -> bool:
        """Tell whether a type is a number, an array or an enumeration."""
        text = annotation if isinstance(annotation, str) else ast.unparse(annotation) if annotation else ""
        return text in _SCALARS or text in self.enums or _is_array(text)

    def _analyse(self, owner: _Class, node: ast.FunctionDef) -> _Method | None:
        arguments = [argument for argument in node.args.args if argument.arg != "self"]
        if not all(self._is_plain(argument.annotation) for argument in arguments):
            return None
        method = _Method(node, is_static=len(arguments) == len(node.args.args))
        called = {call.func for call in _walk(node, ast.Call)}
        for attribute in _walk(node, ast.Attribute):
            base = attribute.value.id if isinstance(attribute.value, ast.Name) else ""
            if base in _MODULES or base in self.enums:
                continue
            if base == "self" and attribute in called:
                method.calls.add((owner.name, attribute.attr))
            elif base == "self" and self._is_plain(owner.types.get(attribute.attr)):
                method.fields.add(attribute.attr)
                if isinstance(attribute.ctx, ast.Store):
                    if owner.types[attribute.attr] not in _SCALARS:
                        return None
                    method.written.add(attribute.attr)
            elif base in self.classes and attribute in called:
                method.calls.add((base, attribute.attr))
            elif base not in self.classes:
                return None
        names = {function.id for function in called if isinstance(function, ast.Name)}
        if not names <= _BUILTINS | self.helpers:
            return None
        method.calls |= {(_MODULE, name) for name in names & self.helpers}
        method.loops = any(isinstance(part, (ast.For, ast.While)) for part in ast.walk(node))
        return method

    def _close(self) -> None:
        """Drop methods that call others than functions, and add the fields of the called ones to each."""
        changed = True
        while changed:
            changed = False
            for owner in self.classes.values():
                for name, method in list(owner.methods.items()):
                    called = [self.method(key) for key in method.calls]
                    if None in called:
                        del owner.methods[name]
                        changed = True
                        continue
                    inherited = {f for other in called if other and not other.is_static for f in other.fields}
                    if not inherited <= method.fields:
                        method.fields |= inherited
                        changed = True

    def _select(self) -> None:
        """Keep what has loops and what that calls: for others, the call of a function costs more than it saves."""
        methods = [(owner, name) for owner in self.classes.values() for name in owner.methods]
        wanted = {(owner.name, name) for owner, name in methods if owner.methods[name].loops}
        reached: set[tuple[str, str]] = set()
        while wanted - reached:
            key = (wanted - reached).pop()
            reached.add(key)
            wanted |= self.classes[key[0]].methods[key[1]].calls
        for owner in self.classes.values():
            owner.methods = {name: method for name, method in owner.methods.items() if (owner.name, name) in reached}
            owner.cells = {name for method in owner.methods.values() for name in method.written}

    def result(self, name: str) -> str:
        """Return the source of the module."""
        parts = [_PREAMBLE.format(name=name)]
        for owner in self.classes.values():
            parts += [*self._constants(owner), *self._functions(owner)]
            owner.node.body = [self._wrapped(owner, node) for node in owner.node.body]
        parts.append(ast.unparse(self.module))
        for owner in self.classes.values():
            parts += self._tables(owner)
        return "\n".join(parts) + "\n"

    def _constants(self, owner: _Class) -> Iterator[str]:
        """Return the constant arrays of a class."""
        for name, value in owner.constants.items():
            if isinstance(value, ast.Call):
                code, items = map(ast.unparse, value.args)
                yield f"{owner.name}_{name} = np.array({items}, np.{_DTYPES[ast.literal_eval(code)]})"

    def _functions(self, owner: _Class) -> Iterator[str]:
        """Return the functions that the methods of a class became."""
        for name, method in owner.methods.items():
            for member, value in owner.members.items() if owner.kind in method.fields else [("", 0)]:
                function = _Function(self, owner, member, value)
                yield ast.unparse(function.convert(method, self.function((owner.name, name), member)))

    def _tables(self, owner: _Class) -> Iterator[str]:
        """Return the functions of a class by the member of its enumeration."""
        for name, method in owner.methods.items():
            if owner.kind in method.fields and method.loops:
                type = owner.types[owner.kind]
                pairs = (f"{type}.{member}: {self.function((owner.name, name), member)}" for member in owner.members)
                yield f"{owner.name}_{name} = {{{', '.join(pairs)}}}"

    def _wrapped(self, owner: _Class, node: ast.stmt) -> ast.stmt:
        """Return a method whose body calls its function, or what else the class holds."""
        if not isinstance(node, ast.FunctionDef):
            return node
        method = owner.methods.get(node.name)
        if method is None or not method.loops:
            return node
        key = owner.name, method.node.name
        cells = sorted(method.fields & owner.cells)
        function = f"{owner.name}_{method.node.name}"
        if owner.kind in method.fields:
            function += f"[self.{owner.kind}]"
        arguments = [_argument(f"self.{name}", owner.types[name], name in cells) for name in self.fields(key)]
        arguments += [
            _argument(argument.arg, ast.unparse(argument.annotation))
            for argument in method.node.args.args
            if argument.annotation
        ]
        lines = [f"{name} = np.array([{owner.types[name]}(self.{name})])" for name in cells]
        lines.append(f"result = {function}({', '.join(arguments)})")
        lines += [f"self.{name} = {name}.item()" for name in cells]
        lines.append("return result")
        docstring = [node.body[0]] if ast.get_docstring(method.node) else []
        return ast.FunctionDef(
            name=node.name,
            args=node.args,
            body=docstring + ast.parse("\n".join(lines)).body,
            decorator_list=node.decorator_list,
            returns=node.returns,
            lineno=0,
        )


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def _is_array(annotation: str) -> bool:
    return annotation.removesuffix(" | None") in ("array.array", "bytearray | bytes")


def _walk(node: ast.AST, kind: type) -> Iterator[Any]:
    return (part for part in ast.walk(node) if isinstance(part, kind))


def _argument(text: str, annotation: str, is_cell: bool = False) -> str:
    """Return what a function is called with: always of the same type, since each set of types is compiled anew."""
    if is_cell:
        return text.removeprefix("self.")
    if _is_array(annotation):
        return f"_array({text})"
    return f"{annotation}({text})" if annotation in _SCALARS else f"{text}.value"


def _call(function: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(function, ast.Load()), list(arguments), [])


def _arithmetic(function: str, *arguments: ast.expr) -> ast.Call:
    return _call(f"_c.{function}", *arguments)  # locals do not begin with an underscore


class _Function(ast.NodeTransformer):
    """Turns the methods of one class into functions."""

    def __init__(self, program: _Rewriter, owner: _Class, member: str, value: int) -> None:
        self.program = program
        self.owner = owner
        self.member = member
        self.value = value
        self.floats: set[str] = set()
        """Arguments and local variables that are floats."""

    def convert(self, method: _Method, name: str) -> ast.FunctionDef:
        """Return the function that a method becomes."""
        node = copy.deepcopy(method.node)
        arguments = [argument for argument in node.args.args if argument.arg != "self"]
        targets = [part for part in _walk(node, ast.AnnAssign) if isinstance(part.target, ast.Name)]
        named = [(argument.arg, argument.annotation) for argument in arguments]
        named += [(part.target.id, part.annotation) for part in targets]
        self.floats = {name for name, annotation in named if annotation and ast.unparse(annotation) == "float"}
        fields = [ast.arg(f"self{name}") for name in self.program.fields((self.owner.name, method.node.name))]
        if ast.get_docstring(node):
            del node.body[0]
        statements = [self.visit(statement) for statement in node.body]
        function = ast.parse(f"@_compiled\ndef {name}(): pass").body[0]
        assert isinstance(function, ast.FunctionDef)
        function.args.args = fields + [ast.arg(argument.arg) for argument in arguments]
        function.body = statements
        return ast.fix_missing_locations(function)

    # statements

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt:
        assert node.value
        return self.visit_Assign(ast.Assign([node.target], node.value, lineno=node.lineno))

    def visit_Assign(self, node: ast.Assign) -> ast.stmt:
        target = node.targets[0]
        is_float = isinstance(target, ast.Name) and target.id in self.floats
        value = self.visit(node.value)
        node.targets = [self.visit(target) for target in node.targets]
        node.value = _as_float(value) if is_float else value
        return node

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt:
        target = copy.deepcopy(node.target)
        target.ctx = ast.Load()
        return self.visit_Assign(ast.Assign([node.target], ast.BinOp(target, node.op, node.value), lineno=node.lineno))

    def visit_Match(self, node: ast.Match) -> ast.stmt:
        """Make a chain of conditions: numba leaves out those that are never true."""
        chain: list[ast.stmt] = []
        for case in reversed(node.cases):
            body = [self.visit(statement) for statement in case.body]
            patterns = case.pattern.patterns if isinstance(case.pattern, ast.MatchOr) else [case.pattern]
            values = [self.visit(pattern.value) for pattern in patterns if isinstance(pattern, ast.MatchValue)]
            subject = self.visit(copy.deepcopy(node.subject))
            tests: list[ast.expr] = [ast.Compare(subject, [ast.Eq()], [value]) for value in values]
            test = ast.BoolOp(ast.Or(), tests) if len(tests) > 1 else tests[0] if tests else None
            chain = [ast.If(test, body, chain)] if test else body
        return chain[0]

    # expressions

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        assert isinstance(node.value, ast.Name)
        base = node.value.id
        if base in self.program.enums:
            return ast.Constant(self.program.enums[base][node.attr])
        if base in self.program.classes:
            value = self.program.classes[base].constants[node.attr]
            return value if isinstance(value, ast.Constant) else ast.Name(f"{base}_{node.attr}", ast.Load())
        if base != "self":
            return node
        if node.attr == self.owner.kind:
            return ast.Constant(self.value)
        return self._field(node.attr, node.ctx)

    def _field(self, name: str, context: ast.expr_context) -> ast.expr:
        if name in self.owner.cells:
            return ast.Subscript(ast.Name(f"self{name}", ast.Load()), ast.Constant(0), context)
        return ast.Name(f"self{name}", context)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        arguments = [self.visit(argument) for argument in node.args]
        if isinstance(node.func, ast.Name) and node.func.id == "round":
            return _arithmetic("round_to_even", *arguments)
        if isinstance(node.func, ast.Name):
            if node.func.id not in self.program.helpers:
                return ast.Call(node.func, arguments, [])
            base, name = _MODULE, node.func.id
        else:
            assert isinstance(node.func, ast.Attribute)
            assert isinstance(node.func.value, ast.Name)
            base, name = node.func.value.id, node.func.attr
        if (base, name) == ("math", "trunc"):
            return _arithmetic("truncate", *arguments)
        if base in _MODULES:
            return ast.Call(node.func, arguments, [])
        key = self.owner.name if base == "self" else base, name
        fields = [ast.Name(f"self{field}", ast.Load()) for field in self.program.fields(key)]
        method = self.program.classes[key[0]].methods[name]
        types = [argument.annotation for argument in method.node.args.args if argument.arg != "self"]
        for i, type in enumerate(types):
            if type and ast.unparse(type) == "int":  # of one width, since each set of types is compiled anew
                arguments[i] = _arithmetic("wide", arguments[i])
        return _call(self.program.function(key, self.member), *fields, *arguments)

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        if ast.unparse(node).startswith("struct.unpack("):
            # struct.unpack("f", struct.pack("i", number))[0]: the bits of one type taken for another
            unpack = node.value
            assert isinstance(unpack, ast.Call)
            pack = unpack.args[1]
            assert isinstance(pack, ast.Call)
            to_float = ast.literal_eval(unpack.args[0]).endswith("f")
            return _arithmetic("float_of_bits" if to_float else "bits_of_float", self.visit(pack.args[1]))
        return ast.Subscript(self.visit(node.value), _arithmetic("index", self.visit(node.slice)), node.ctx)

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        if isinstance(node.left, ast.Call) and ast.unparse(node.left.func) == "array.array":
            # array.array("f", [0]) * length
            return _arithmetic(f"zeros_{_DTYPES[ast.literal_eval(node.left.args[0])]}", node.right)
        left, right = self.visit(node.left), self.visit(node.right)
        function = _BINARY.get(type(node.op))
        return _arithmetic(function, left, right) if function else ast.BinOp(left, node.op, right)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        if isinstance(node.operand, ast.Constant):
            return self.visit_Constant(ast.Constant(eval(ast.unparse(node))))
        return ast.UnaryOp(node.op, self.visit(node.operand))

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        return _as_float(node) if isinstance(node.value, float) else node

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        test, body, orelse = (self.visit(part) for part in (node.test, node.body, node.orelse))
        if any(isinstance(part, ast.Name) and part.id in self.floats for part in (body, orelse)):
            body, orelse = _as_float(body), _as_float(orelse)
        return ast.IfExp(test, body, orelse)

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        left, right = self.visit(node.left), self.visit(node.comparators[0])
        if isinstance(node.ops[0], (ast.Is, ast.IsNot)):
            operation: ast.cmpop = ast.Eq() if isinstance(node.ops[0], ast.Is) else ast.NotEq()
            return ast.Compare(ast.Attribute(left, "size", ast.Load()), [operation], [ast.Constant(0)])
        function = _COMPARISONS.get(type(node.ops[0]))
        return _arithmetic(function, left, right) if function else ast.Compare(left, node.ops, [right])


def _as_float(node: ast.expr) -> ast.expr:
    """Give literals single precision; Python has none, so numba takes them for double precision or an integer."""
    if isinstance(node, ast.IfExp):
        return ast.IfExp(node.test, _as_float(node.body), _as_float(node.orelse))
    return _call("np.float32", node) if isinstance(node, ast.Constant) else node
