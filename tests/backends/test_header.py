"""Reading of generated headers; what is made of them is checked in test_c.py.

The witness is the C preprocessor. To add a case: a declaration in the form that a Fusion compiler writes.
"""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from engines import built_engine

from pyllama3.backends import engine_dir
from pyllama3.backends.c import _ctype
from pyllama3.backends.header import CType, Function, Header, parse_header

PREFIX = '// Generated.\n#pragma once\n#include <stdint.h>\n#ifdef __cplusplus\nextern "C" {\n#endif\n'
SUFFIX = "\n#ifdef __cplusplus\n}\n#endif\n"


def function(text: str) -> Function:
    (found,) = parse_header(f"{PREFIX}{text}{SUFFIX}").functions
    return found


def test_functions() -> None:
    number, pointer = CType("int", False), CType("Box", True)
    assert function("void A_B(void);") == Function("A_B", CType("void", False), ())
    assert function("Box *Box_New(void);") == Function("Box_New", pointer, ())
    assert function("int Box_Get(Box *self);") == Function("Box_Get", number, (pointer,))
    assert function("int Box_Get(const Box *self);") == Function("Box_Get", number, (pointer,), is_pure=True)
    assert function("int Box_Get(Box const *self);") == Function("Box_Get", number, (pointer,), is_pure=True)
    assert function("ptrdiff_t A_B(float const *x,\n\tint count, Color color_int);") == Function(
        "A_B", CType("ptrdiff_t", False), (CType("float", True), number, CType("Color", False)), is_pure=True
    )
    assert function("/** Says: int A_C(void); // no */\nint A_B(void); // int A_D(void);").name == "A_B"


def test_enumerations_constants_and_structures() -> None:
    text = "#define Box_LOWEST -3\ntypedef struct Box Box;\ntypedef enum {\n\tC_A,\n\tC_B = 5,\n\tC_D\n} C;"
    header = parse_header(f"{PREFIX}{text}{SUFFIX}")
    assert header.enumerations == {"C": {"C_A": 0, "C_B": 5, "C_D": 6}}
    assert header.constants == [("Box", "LOWEST", -3)]
    assert header.structures == ["Box"]


@pytest.mark.parametrize(
    "text",
    ["This is no header", "int A_B(void)", "struct Box { int x; };", "int A_B(int (*callback)(void));", "int x;"],
)
def test_what_no_fusion_compiler_writes_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^cannot read '"):
        parse_header(f"{PREFIX}{text}{SUFFIX}")


def test_no_function_of_the_engine_is_missed() -> None:
    built_engine("c")
    path = engine_dir() / "llama3.h"
    if shutil.which("cc") is None:
        pytest.skip("no C compiler on the PATH")
    preprocessed = subprocess.check_output(["cc", "-E", "-P", "-xc", str(path)], text=True)
    expected = re.findall(r"\b([A-Z]\w*_[A-Z]\w*) ?\(", preprocessed)
    assert [function.name for function in parse_header(path.read_text(encoding="utf-8")).functions] == expected
    assert len(expected) > 50


def test_types_that_are_not_known_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^unknown type 'long'$"):
        _ctype(CType("long", False), Header())
