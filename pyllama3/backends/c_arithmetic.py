"""Arithmetic by the rules of C, for numba: what generated Python means where Fusion has 32-bit numbers.

Python's numbers, and numba's, are 64 bits wide, which halves the speed of vector instructions at best. Here, as in C,
two operands get the wider type of both, at least 32 bits; a literal takes the type of the other operand.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

_FLOAT_FLAGS = ("contract", "reassoc")
"""What C compilers do too (fused multiply-add), and the order of sums, which kernels do not depend on."""


def _common(a: Any, b: Any) -> Any:
    """Return the type in which two operands are computed."""
    if types.float64 in (a, b):
        return types.float64
    if types.float32 in (a, b):
        return types.float32
    strong = [type for type in (a, b) if not _is_weak(type)]
    return types.int32 if strong and all(type.bitwidth <= 32 for type in strong) else types.int64


def _is_weak(type: Any) -> bool:
    return isinstance(type, types.IntegerLiteral) and -(2**31) <= type.literal_value < 2**31


def _binary(emit_int: Any, emit_float: Any, result: Any = None) -> Any:
    """Make an operation of two numbers; its type is that of the operands unless given."""

    @intrinsic(prefer_literal=True)
    def operation(typing: Any, a: Any, b: Any) -> Any:
        common = _common(a, b)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            pair = zip(arguments, signature.args, strict=True)
            x, y = (context.cast(builder, value, type, common) for value, type in pair)
            return (emit_float if isinstance(common, types.Float) else emit_int)(builder, x, y)

        return (result or common)(a, b), generate

    return operation


def _arithmetic(name: str) -> Any:
    return _binary(
        lambda builder, x, y: getattr(builder, name)(x, y, flags=("nsw",)),
        lambda builder, x, y: getattr(builder, f"f{name}")(x, y, flags=_FLOAT_FLAGS),
    )


def _bitwise(name: str) -> Any:
    return _binary(lambda builder, x, y: getattr(builder, name)(x, y), None)


def _comparison(symbol: str) -> Any:
    return _binary(
        lambda builder, x, y: builder.icmp_signed(symbol, x, y),
        lambda builder, x, y: builder.fcmp_ordered(symbol, x, y),
        types.boolean,
    )


add, sub, mul = map(_arithmetic, ("add", "sub", "mul"))
and_, or_, xor, shl, shr = map(_bitwise, ("and_", "or_", "xor", "shl", "ashr"))
lt, le, gt, ge = map(_comparison, ("<", "<=", ">", ">="))


@intrinsic(prefer_literal=True)
def div(typing: Any, a: Any, b: Any) -> Any:
    """Divide as floats, in double precision if neither operand is one: Python's `/` of integers."""
    common = _common(a, b) if isinstance(a, types.Float) or isinstance(b, types.Float) else types.float64

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pair = zip(arguments, signature.args, strict=True)
        x, y = (context.cast(builder, value, type, common) for value, type in pair)
        return builder.fdiv(x, y)

    return common(a, b), generate


def _cast(target: Any, bits: Any = None) -> Any:
    """Make a conversion of a number to a type, whose bits are then taken for another type if one is given."""

    @intrinsic
    def conversion(typing: Any, number: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            value = context.cast(builder, arguments[0], signature.args[0], target)
            return builder.bitcast(value, context.get_value_type(bits)) if bits else value

        return (bits or target)(number), generate

    return conversion


index = _cast(types.uintp)
"""Numba tests signed indices for negative ones, which count from the end in Python and do not occur in the engine."""
wide = _cast(types.int64)
float_of_bits = _cast(types.int32, types.float32)
bits_of_float = _cast(types.float32, types.int32)


@intrinsic
def truncate(typing: Any, number: Any) -> Any:
    """Round a float towards 0, to 32 bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fptosi(arguments[0], ir.IntType(32))

    return types.int32(number), generate


@intrinsic
def round_to_even(typing: Any, number: Any) -> Any:
    """Round a float to the nearest integer of 32 bits, ties to even: Python's `round`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rint = builder.module.declare_intrinsic("llvm.rint", [arguments[0].type])
        return builder.fptosi(builder.call(rint, arguments), ir.IntType(32))

    return types.int32(number), generate


def _zeros(dtype: Any) -> Any:
    """Make a constructor of local arrays: on the stack, where the compiler sees that nothing else refers to them."""

    @intrinsic(prefer_literal=True)
    def zeros(typing: Any, length: Any) -> Any:
        array_type = types.Array(dtype, 1, "C")

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            item = context.get_data_type(dtype)
            memory = cgutils.alloca_once(builder, ir.ArrayType(item, length.literal_value))
            memory.align = 32
            builder.store(ir.Constant(memory.type.pointee, None), memory)
            array = context.make_array(array_type)(context, builder)
            size, itemsize = (context.get_constant(types.intp, n) for n in (length.literal_value, dtype.bitwidth // 8))
            populate_array(
                array,
                data=builder.bitcast(memory, item.as_pointer()),
                shape=[size],
                strides=[itemsize],
                itemsize=itemsize,
                meminfo=None,
            )
            return array._getvalue()

        return array_type(length), generate

    return zeros


zeros_float32, zeros_float64 = map(_zeros, (types.float32, types.float64))
zeros_int8, zeros_int16, zeros_int32, zeros_uint8 = map(_zeros, (types.int8, types.int16, types.int32, types.uint8))
