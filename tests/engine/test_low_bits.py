"""Blocks of the types of one to three bits, taken apart as packing needs them.

The witness is `gguf`. To add a case: a type in `LARGEST`, with its largest value and subscale.
"""

from __future__ import annotations

import numpy as np
import pytest
from blocks import any_blocks, expand
from engines import Output

from pyllama3.backends import Engine
from pyllama3.weights import TensorType

LARGEST = {
    TensorType.IQ1_S: (9, 15),
    TensorType.IQ1_M: (9, 15),
    TensorType.IQ2_XXS: (43, 31),
    TensorType.IQ2_XS: (43, 31),
    TensorType.IQ2_S: (43, 31),
    TensorType.IQ3_XXS: (62, 31),
    TensorType.IQ3_S: (15, 31),
    TensorType.TQ1_0: (1, 1),
    TensorType.TQ2_0: (2, 1),
}
"""Largest values and subscales."""
ONE_SCALE = {type for type in LARGEST if type not in (TensorType.IQ1_M, TensorType.IQ2_XS, TensorType.IQ2_S)}
"""Types in which 32 numbers share a subscale; in the others, 16 do."""


@pytest.mark.parametrize("type", LARGEST)
def test_numbers_are_exact_products_of_small_integers_and_the_scale(any_engine: Engine, type: TensorType) -> None:
    data = any_blocks(type, 60)
    blocks = any_engine.view(data.reshape(-1), "uint8")
    expected = expand(type, data.reshape(-1)).reshape(-1, 32)
    core_type = any_engine.TensorType(int(type))
    kept = []
    for block, numbers in enumerate(expected):
        n, subscales = Output(any_engine, (32,), "int32"), Output(any_engine, (2,), "int32")
        any_engine.LowBits.unpack(n.run, subscales.run, core_type, blocks, block)
        assert n.result().min() >= 0
        assert n.result().max() < 16
        any_engine.LowBits.look_up(n.run, core_type)
        scale = any_engine.LowBits.get_scale(core_type, blocks, block >> 3)
        assert scale == np.float16(scale)
        runs = n.result().reshape(2, 16) * subscales.result()[:, None]
        np.testing.assert_array_equal(scale * any_engine.LowBits.get_factor(core_type) * runs.reshape(32), numbers)
        kept.append((n.result().copy(), subscales.result().copy()))
    values, subscales = (np.array(arrays) for arrays in zip(*kept, strict=True))
    assert (np.abs(values).max(), subscales.max()) == LARGEST[type]
    assert subscales.min() == 1
    assert bool((subscales[:, 0] == subscales[:, 1]).all()) == (type in ONE_SCALE)
