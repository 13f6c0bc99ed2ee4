"""What a C file needs at its top."""

from __future__ import annotations

from pyfut.c.runtime import HELPERS, typed_helper


class Needs:
    """Collects headers and runtime functions."""

    def __init__(self) -> None:
        self.includes: set[str] = set()
        self.helpers: dict[str, str] = {}
        """Texts of runtime functions by their names, in the order in which C has to see them."""

    def include(self, *headers: str) -> None:
        """Request headers."""
        self.includes.update(headers)

    def helper(self, name: str) -> str:
        """Request a runtime function; return its name."""
        helper = HELPERS[name]
        for other in helper.needs:
            self.helper(other)
        self.includes.update(helper.includes)
        self.helpers.setdefault(name, helper.text)
        return name

    def typed(self, operation: str, type_: str) -> str:
        """Request a runtime function for one element type; return its name."""
        name, text = typed_helper(operation, type_)
        self.include_type(type_)
        self.helpers.setdefault(name, text)
        return name

    def include_type(self, type_: str) -> None:
        """Request the header that defines a C type."""
        if type_.startswith(("int", "uint")) and type_.endswith("_t"):
            self.include("stdint.h")
        elif type_ == "ptrdiff_t":
            self.include("stddef.h")
        elif type_ == "bool":
            self.include("stdbool.h")

    def null(self) -> str:
        """Return `NULL`."""
        self.include("stddef.h")
        return "NULL"
