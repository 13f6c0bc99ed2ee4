"""Calls that are evaluated at compile time."""

from __future__ import annotations

from pyfut.checks.folding import fold_binary, fold_index, fold_unary
from pyfut.syntax import ast


class PureCall:
    """Evaluates a call of a static method that consists of one `return`."""

    def __init__(self, method: ast.MethodDecl, arguments: list[ast.Value], depth: int = 0) -> None:
        self.method = method
        self.depth = depth
        self.values: dict[str, ast.Value] = dict(zip((p.name for p in method.parameters), arguments, strict=False))

    def evaluate(self) -> ast.Value:
        """Return the result of the call or None."""
        if self.depth > 100 or not isinstance(self.method.body, ast.Return) or self.method.body.expr is None:
            return None
        return self._eval(self.method.body.expr)

    def _eval(self, expr: ast.Expr) -> ast.Value:
        match expr:
            case ast.Literal():
                return expr.literal
            case ast.Name() | ast.Member():
                return self._name(expr)
            case ast.Binary(operator=operator):
                left = self._eval(expr.left)
                if operator in ("&&", "||") and isinstance(left, bool) and left == (operator == "||"):
                    return left
                return fold_binary(operator, left, self._eval(expr.right))
            case ast.Unary():
                return fold_unary(expr.operator, self._eval(expr.operand))
            case ast.Select():
                condition = self._eval(expr.condition)
                return None if condition is None else self._eval(expr.on_true if condition else expr.on_false)
            case ast.Index():
                return fold_index(self._eval(expr.object), self._eval(expr.index))
            case ast.Call():
                return self._call(expr)
        return None

    def _name(self, expr: ast.Name | ast.Member) -> ast.Value:
        if isinstance(expr, ast.Name) and expr.name in self.values:
            return self.values[expr.name]
        symbol = expr.symbol
        if symbol is None and isinstance(expr, ast.Name):
            symbol = self.method.owner.find(expr.name)
        if isinstance(symbol, ast.ConstDecl):
            return symbol.value
        if isinstance(symbol, ast.Var):
            return self.values.get(symbol.name)
        return expr.value

    def _call(self, expr: ast.Call) -> ast.Value:
        callee = expr.method
        if callee is None and isinstance(expr.target, ast.Name):
            found = self.method.owner.find(expr.target.name)
            callee = found if isinstance(found, ast.MethodDecl) else None
        if callee is None or not callee.is_static:
            return expr.value
        arguments = [self._eval(argument) for argument in expr.arguments]
        if None in arguments or len(arguments) != len(callee.parameters):
            return None
        return PureCall(callee, arguments, self.depth + 1).evaluate()
