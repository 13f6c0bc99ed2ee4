"""The binding of the C engine, made from its header: on a small library of our own, and on the engine itself.

To add a case: declare a function in `HEADER` and write it in `SOURCE`; weak references tell what is kept.
"""

from __future__ import annotations

import gc
import inspect
import os
import shutil
import subprocess
import weakref
from collections.abc import Iterator
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engines import built_engine
from tiny_models import tiny_config

from pyllama3.backends import Engine, library_name
from pyllama3.backends.c import CEngine, load
from pyllama3.errors import BackendError

HEADER = """\
// Made by hand in the form of a generated header.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

#define Box_MAX_SIZE 7
#define Box_LOWEST -3

/**
 * A colour.
 */
typedef enum {
    /**
     * Nearly orange.
     */
    Color_RED = 1,
    Color_DARK_GREEN = 5
} Color;
typedef struct Box Box;
typedef struct Lid Lid;

Box *Box_New(void);
void Box_Delete(Box *self);
/**
 * Keeps numbers.
 * @param data The numbers; <code>null</code> for none.
 */
void Box_SetData(Box *self, float const *data);
void Box_SetPart(Box *self, int part, const int16_t *data);
float Box_Sum(Box const *self, int count);
int Box_SumPart(Box const *self, int part, int count);
Lid *Box_GetLid(Box *self);
void Box_PutInside(Box *self, Box const *other);
float Box_Apply(Box const *self, float const *weights, int count);
void Box_Set(Box *self, int count, float const *data);
void Box_Add(Box *self, int at, float const *data);

void Lid_SetData(Lid *self, uint8_t const *data);
int Lid_GetFirst(Lid const *self);

int Tools_CountDeleted(void);
void Tools_Double2(double *y, double const *x, int count);
bool Tools_IsNull(float const *data);
Color Tools_Next(Color color);

#ifdef __cplusplus
}
#endif
"""
SOURCE = """\
#include <stdlib.h>
#include "llama3.h"

static int deleted = 0;
struct Lid { uint8_t const *data; };
struct Box { float const *data; int16_t const *parts[2]; Lid lid; };

Box *Box_New(void) { return calloc(1, sizeof(Box)); }
void Box_Delete(Box *self) { deleted++; free(self); }
void Box_SetData(Box *self, float const *data) { self->data = data; }
void Box_SetPart(Box *self, int part, const int16_t *data) { self->parts[part] = data; }
float Box_Sum(Box const *self, int count) {
    float sum = 0;
    for (int i = 0; i < count; i++) sum += self->data[i];
    return sum;
}
int Box_SumPart(Box const *self, int part, int count) {
    int sum = 0;
    for (int i = 0; i < count; i++) sum += self->parts[part][i];
    return sum;
}
Lid *Box_GetLid(Box *self) { return &self->lid; }
void Box_PutInside(Box *self, Box const *other) { self->data = other == NULL ? NULL : other->data; }
float Box_Apply(Box const *self, float const *weights, int count) {
    float sum = 0;
    for (int i = 0; i < count; i++) sum += self->data[i] * weights[i];
    return sum;
}
void Box_Set(Box *self, int count, float const *data) { self->data = count == 0 ? NULL : data; }
void Box_Add(Box *self, int at, float const *data) { self->data = data + at; }
void Lid_SetData(Lid *self, uint8_t const *data) { self->data = data; }
int Lid_GetFirst(Lid const *self) { return self->data[0]; }
int Tools_CountDeleted(void) { return deleted; }
void Tools_Double2(double *y, double const *x, int count) { for (int i = 0; i < count; i++) y[i] = 2 * x[i]; }
bool Tools_IsNull(float const *data) { return data == NULL; }
Color Tools_Next(Color color) { return color == Color_RED ? Color_DARK_GREEN : Color_RED; }
"""


@pytest.fixture(scope="module")
def compiler() -> str:
    found = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs a C compiler")
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, compiler: str) -> Path:
    """A build folder with a library that has nothing to do with llamas."""
    folder = tmp_path_factory.mktemp("boxes")
    build(folder, compiler, HEADER, SOURCE)
    return folder


def build(folder: Path, compiler: str, header: str, source: str) -> None:
    (folder / "llama3.h").write_text(header, encoding="utf-8")
    (folder / "boxes.c").write_text(source, encoding="utf-8")
    command = [compiler, "-shared", "-fPIC", "-o", str(folder / library_name()), str(folder / "boxes.c")]
    subprocess.run(command, check=True)


@pytest.fixture
def boxes(folder: Path) -> Iterator[CEngine]:
    yield load(folder)
    gc.collect()


def floats(*values: float) -> Any:
    return np.array(values, np.float32)


# what a header brings


def test_methods_need_no_code(boxes: CEngine) -> None:
    box = boxes.Box()
    box.set_data(floats(1, 2, 4))
    assert box.sum(3) == 7
    assert boxes.Tools.is_null(None) is True
    assert {name for name in dir(boxes.Box) if not name.startswith("_")} == {
        "LOWEST", "MAX_SIZE", "add", "apply", "get_lid", "put_inside", "set", "set_data", "set_part", "sum", "sum_part",
    }  # fmt: skip


def test_a_method_added_to_the_header_is_there(compiler: str, tmp_path: Path) -> None:
    declaration = "int Box_GetAnswer4U(Box const *self)"
    header = HEADER.replace("bool Tools_IsNull", f"{declaration};\nbool Tools_IsNull")
    build(tmp_path, compiler, header, SOURCE + declaration + " { return self == NULL ? 0 : 42; }\n")
    assert load(tmp_path).Box().get_answer4_u() == 42


def test_enumerations_and_constants(boxes: CEngine) -> None:
    assert issubclass(boxes.Color, IntEnum)
    assert {color.name: color.value for color in boxes.Color} == {"RED": 1, "DARK_GREEN": 5}
    assert boxes.Tools.next(boxes.Color.RED) == boxes.Color.DARK_GREEN
    assert (boxes.Box.MAX_SIZE, boxes.Box.LOWEST) == (7, -3)


def test_what_the_header_has_not_is_an_attribute_error(boxes: CEngine) -> None:
    with pytest.raises(AttributeError, match="the generated header has no class 'Crate'"):
        _ = boxes.Crate
    with pytest.raises(AttributeError):
        boxes.Box().open()


def test_a_class_without_constructor_cannot_be_made(boxes: CEngine) -> None:
    with pytest.raises(TypeError, match=r"^Lid has no public constructor$"):
        boxes.Lid()


# arguments


def test_arrays_are_used_in_place(boxes: CEngine) -> None:
    x: Any = np.array([1.0, 2.0])
    y = np.zeros(4)
    x.flags.writeable = False
    boxes.Tools.double2(y, memoryview(x), 2)
    boxes.Tools.double2(y[2:], y, 2)
    assert y.tolist() == [2, 4, 4, 8]


def test_items_of_another_size_are_refused(boxes: CEngine) -> None:
    wrong: list[Any] = [np.zeros(2, np.float64), np.zeros(2, np.int16), b"12345678"]
    for array, size in zip(wrong, (8, 2, 1), strict=True):
        with pytest.raises(TypeError, match=f"^an array of float has items of 4 bytes, not {size}$"):
            boxes.Box().set_data(array)


@pytest.mark.parametrize("wrong", [1.5, [1.0, 2.0], floats(1, 2, 3, 4)[::2]], ids=["number", "list", "gaps"])
def test_what_is_no_array_is_refused(boxes: CEngine, wrong: object) -> None:
    with pytest.raises((TypeError, ValueError, BufferError)):
        boxes.Box().set_data(wrong)


def test_none_is_null(boxes: CEngine) -> None:
    assert boxes.Tools.is_null(None)
    assert not boxes.Tools.is_null(floats(0))
    boxes.Box().put_inside(None)


@pytest.mark.parametrize("arguments", [(), (1, 2)])
def test_the_number_of_arguments_is_checked(boxes: CEngine, arguments: tuple[int, ...]) -> None:
    with pytest.raises((TypeError, ValueError)):
        boxes.Box().sum(*arguments)


# lifetimes


def test_what_a_setter_got_lives_as_long_as_its_object(boxes: CEngine) -> None:
    box, data = boxes.Box(), floats(1, 2)
    box.set_data(data)
    seen = weakref.ref(data)
    del data
    gc.collect()
    assert box.sum(2) == 3
    assert seen() is not None
    del box
    gc.collect()
    assert seen() is None


def test_what_is_set_again_is_let_go(boxes: CEngine) -> None:
    box, first = boxes.Box(), floats(1, 2)
    box.set_data(first)
    seen = weakref.ref(first)
    del first
    box.set_data(floats(3, 4))
    gc.collect()
    assert seen() is None
    assert box.sum(2) == 7


def test_arguments_with_different_numbers_are_kept_side_by_side(boxes: CEngine) -> None:
    box, parts = boxes.Box(), [np.array([1, 2], np.int16), np.array([30, 40], np.int16)]
    for part, data in enumerate(parts):
        box.set_part(part, data)
    seen = [weakref.ref(data) for data in parts]
    del parts, data
    gc.collect()
    assert all(data() is not None for data in seen)
    assert (box.sum_part(0, 2), box.sum_part(1, 2)) == (3, 70)


def test_what_a_method_that_changes_nothing_got_is_let_go(boxes: CEngine) -> None:
    box = boxes.Box()
    box.set_data(floats(1, 2, 4))
    for count in range(4):
        weights = floats(1, 1, 1)
        assert box.apply(weights, count) == [0, 1, 3, 7][count]
        seen = weakref.ref(weights)
        del weights
        gc.collect()
        assert seen() is None


@pytest.mark.parametrize("name", ["set", "add"])
def test_calls_with_ever_other_numbers_keep_the_last(boxes: CEngine, name: str) -> None:
    box, seen = boxes.Box(), []
    for number in range(100):
        data = np.arange(100, dtype=np.float32)
        getattr(box, name)(number, data)
        seen.append(weakref.ref(data))
        del data
    gc.collect()
    assert [number for number, data in enumerate(seen) if data() is not None] == [99]
    assert box.sum(1) == (99 if name == "add" else 0)


def test_an_object_inside_another_keeps_its_data_there(boxes: CEngine) -> None:
    box, data = boxes.Box(), np.array([42], np.uint8)
    box.get_lid().set_data(data)
    seen = weakref.ref(data)
    del data
    gc.collect()
    assert box.get_lid().get_first() == 42
    assert seen() is not None


def test_an_object_inside_another_keeps_it_alive(boxes: CEngine) -> None:
    before = boxes.Tools.count_deleted()
    lid = boxes.Box().get_lid()
    gc.collect()
    assert boxes.Tools.count_deleted() == before
    lid.set_data(np.array([7], np.uint8))
    assert lid.get_first() == 7
    del lid
    gc.collect()
    assert boxes.Tools.count_deleted() == before + 1


def test_an_object_that_was_passed_is_kept(boxes: CEngine) -> None:
    before = boxes.Tools.count_deleted()
    box, other = boxes.Box(), boxes.Box()
    other.set_data(floats(5))
    box.put_inside(other)
    del other
    gc.collect()
    assert boxes.Tools.count_deleted() == before
    assert box.sum(1) == 5


# what is no engine


def test_a_library_that_lacks_a_function_is_an_error(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / library_name(), tmp_path)
    (tmp_path / "llama3.h").write_text(HEADER.replace("Tools_IsNull", "Tools_IsMissing"), encoding="utf-8")
    with pytest.raises(BackendError, match=r"llama3\.h: .*Tools_IsMissing.*; run 'invoke build'"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["llama3.h", library_name()])
@pytest.mark.parametrize("damage", ["missing", "foreign"])
def test_a_damaged_build_is_an_error_in_one_line(folder: Path, tmp_path: Path, name: str, damage: str) -> None:
    for file in ("llama3.h", library_name()):
        shutil.copy(folder / file, tmp_path / file)
    if damage == "missing":
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text("This is {no engine.\n", encoding="utf-8")
    with pytest.raises(BackendError, match="run 'invoke build'") as caught:
        load(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_library_is_loaded_once_until_it_is_built_again(folder: Path, tmp_path: Path) -> None:
    for file in ("llama3.h", library_name()):
        shutil.copy(folder / file, tmp_path / file)
    engine = load(tmp_path)
    assert load(tmp_path) is engine
    again = tmp_path / "again.h"
    again.write_text(HEADER.replace("Tools_IsNull", "Tools_IsMissing"), encoding="utf-8")
    again.replace(tmp_path / "llama3.h")
    with pytest.raises(BackendError, match=r"Tools_IsMissing"):
        load(tmp_path)


# the engine itself


def test_both_engines_have_the_same_interface(both_engines: tuple[Engine, Engine]) -> None:
    c, python = both_engines
    module: Any = python._module
    classes = {name: cls for name, cls in vars(module).items() if inspect.isclass(cls) and not name.startswith("_")}
    checked = 0
    for name, cls in classes.items():
        if issubclass(cls, Enum):
            assert {m.name: m.value for m in getattr(c, name)} == {m.name: m.value for m in cls}
            checked += 1
        elif members := {member for member in vars(cls) if not member.startswith("_")}:
            core = getattr(c, name, None)
            if core is not None:  # classes that are not public are not in the header
                assert {member for member in vars(core) if not member.startswith("_")} == members
                checked += 1
    assert checked >= 12


def test_weights_live_as_long_as_the_model(both_engines: tuple[Engine, Engine]) -> None:
    for engine in both_engines:
        tensor = engine.Llama3Model().get_tensor(engine.TensorId.OUTPUT, 0)
        weights = engine.view(np.arange(64, dtype=np.float32).view(np.uint8), "float32")
        tensor.set(engine.TensorType.F32, 2, 32, weights, None, None)
        del weights
        gc.collect()
        np.full(64, np.nan, np.float32)  # takes the place of what was freed
        row = engine.empty("float32", 32)
        tensor.dequantize(row, 1, 0, 32)
        assert engine.numpy(row, "float32").tolist() == list(range(32, 64))


def test_the_engine_keeps_no_more_for_more_calls() -> None:
    """Attention is called with other numbers for each layer, head, row and position."""
    engine = built_engine("c")
    config = tiny_config(layers=1)
    model = engine.Llama3Model()
    model.set_shape(
        config.dim, config.hidden_dim, 1, config.heads, config.kv_heads, config.head_dim, config.vocab_size, 1e-5
    )
    state: Any = engine.Llama3State()
    state.init(model, 16, 1, 1, 1)
    cache = state.get_cache()
    keys, values = (engine.empty("float32", n) for n in (cache.get_keys_length(), cache.get_values_length()))
    cache.set_memory(keys, values)
    row, scratch = engine.empty("float32", config.dim), engine.empty("float32", cache.get_scratch_length())
    kept = []
    for position in range(16):
        cache.store(0, 0, position, row, row, 0)
        cache.set_work(row, row, np.full(1, position, np.int32), scratch)
        cache.attend(0, 1, 0, 0, position % config.kv_heads, 0)
        kept.append(sum(map(len, state._kept.values())))
    assert len(set(kept)) == 1
