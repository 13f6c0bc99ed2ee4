"""The names of a program in C."""

from __future__ import annotations

from pyfut.c.place import Place
from pyfut.naming import camel_case, upper_case, words
from pyfut.syntax import ast

RESERVED = words(
    "asm assert auto bool break byte case char class const continue default do double else enum"
    " extern false float for foreach goto if inline int long nullptr register restrict return short"
    " signed sizeof static struct switch true typedef typeof union unsigned void volatile while"
)


CALLED = words(
    "abort abs acos acosf asin asinf assert atan atan2 atan2f atanf calloc cbrt cbrtf ceil ceilf cos cosf cosh coshf"
    " exp expf fabs fabsf floor floorf fma fmaf fmax fmaxf fmin fminf fprintf fputc fputs free isfinite isinf isnan"
    " llabs log log10 log10f log2 log2f logf malloc memcmp memcpy memmove memset pow powf printf putchar puts qsort"
    " round roundf sin sinf sinh sinhf sqrt sqrtf strcmp strlen strncmp strstr tan tanf tanh tanhf trunc truncf argc"
    " argv stderr stdout"
)
"""Names that generated code uses; variables called so get another name."""


class Names:
    """Spells names as fut does."""

    def __init__(self, prefix: str, place: Place) -> None:
        self.prefix = prefix
        self.place = place

    def type(self, decl: ast.ClassDecl | ast.EnumDecl) -> str:
        """Return the name of a class or an enumeration."""
        return f"{self.prefix}{decl.name}"

    def method(self, method: ast.MethodDecl) -> str:
        """Return the name of the function that implements a method."""
        return f"{self.type(method.owner)}_{method.name}"

    def const(self, const: ast.ConstDecl) -> str:
        """Return the name of a constant."""
        name = upper_case(const.name)
        return name if const.method is not None else f"{self.type(const.owner)}_{name}"

    @staticmethod
    def local(name: str) -> str:
        """Return the name of a variable or a field."""
        name = camel_case(name)
        return f"{name}_" if name in RESERVED else name

    def var(self, var: ast.Var) -> str:
        """Return the name of a local variable or a parameter; `self` is taken in methods."""
        name = self.local(var.name)
        if name in CALLED:
            return f"{name}_"
        instance = self.place.method is not None and not self.place.method.is_static
        return f"{name}_" if name == "self" and instance else name
