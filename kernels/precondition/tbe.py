"""The preconditioned gradient for Ascend 910 in TIK: G^-1 dW A^-1 on packed blocks, two products per block of dW on the cube.

All tensors are fp32. Each block is scaled by a power of two so that its largest number lies in [1/2, 1), rounded to fp16, and
multiplied with fp32 accumulation. The intermediate is at most 128 in size, fits fp16, and goes from the cube through UB and L1
back to the cube. The powers of two are exact and are taken out of the result at the end; together they are held to 2^+-126.

Numbers: with |.| taken element by element, four roundings to fp16 and two fp32 sums,
|error| <= (4 2^-11 + (bg + ba) 2^-24) |G^-1| |dW| |A^-1| + what lies below fp16's 2^-24 after scaling.
"""

from __future__ import annotations

from typing import Any

from bert_thor.kernels.ascend import tik_support
from bert_thor.kernels.ascend.registration import register
from bert_thor.kernels.ascend.sizes import FP32_LANES, FRACTAL, FRACTAL_ITEMS
from bert_thor.kernels.ascend.tik_support import fill, fractals_to_rows, repeats
from bert_thor.kernels.precondition.tiling import STRIP_ROWS, Tiling, tile

EXPONENT_BIAS, MANTISSA_BITS = 127, 23


@register(
    "Precondition",
    {},
    [["F32_Default", "F32_Default", "F32_Default", "F32_Default"]],
    ["g_inverse", "gradient", "a_inverse"],
    ["result"],
)
def precondition(
    g_inverse: dict[str, Any],
    gradient: dict[str, Any],
    a_inverse: dict[str, Any],
    result: dict[str, Any],
    kernel_name: str = "precondition",
) -> None:
    """Build the kernel: gradient, result [outputs, inputs]; g_inverse [.., bg, bg], a_inverse [.., ba, ba]; fp32."""
    tik_support.check_float32("precondition", g_inverse=g_inverse, gradient=gradient, a_inverse=a_inverse)
    outputs, inputs = gradient["shape"]
    bg, ba = g_inverse["shape"][-1], a_inverse["shape"][-1]
    _Kernel(tile(outputs, inputs, bg, ba, tik_support.core_count())).build(kernel_name)


class _Kernel:
    """The program; its methods emit its parts."""

    def __init__(self, tiling: Tiling) -> None:
        self.tik = tik_support.tik_module()
        self.t = self.tik.Tik()
        self.tiling = tiling
        shapes = {
            "g_inverse": (tiling.down, tiling.bg, tiling.bg),
            "gradient": (tiling.outputs, tiling.inputs),
            "a_inverse": (tiling.across, tiling.ba, tiling.ba),
            "result": (tiling.outputs, tiling.inputs),
        }
        scope = self.tik.scope_gm
        tensors = [self.t.Tensor("float32", shape, name=name, scope=scope) for name, shape in shapes.items()]
        self.g_inverse, self.gradient, self.a_inverse, self.result = tensors

    def build(self, kernel_name: str) -> None:
        t, tiling = self.t, self.tiling
        with t.for_range(0, tiling.cores, block_num=tiling.cores) as core:
            begin = t.Scalar("int64", "begin", core * tiling.pairs // tiling.cores)
            end = t.Scalar("int64", "end", (core + 1) * tiling.pairs // tiling.cores)
            self._declare()
            with t.for_range(begin // tiling.across, (end - 1) // tiling.across + 1) as p:
                self._row_of_blocks(p, begin, end)
        inputs = [self.g_inverse, self.gradient, self.a_inverse]
        t.BuildCCE(kernel_name=kernel_name, inputs=inputs, outputs=[self.result])

    def _declare(self) -> None:
        """What lives as long as the core: the cube's operands in L1, and the buffers that are loaded ahead."""
        t, tik, bg, ba = self.t, self.tik, self.tiling.bg, self.tiling.ba
        sizes = {"g": bg * bg, "d": bg * ba, "a": ba * ba, "product": bg * ba}
        self.l1 = {n: t.Tensor("float16", (size,), name=f"{n}_l1", scope=tik.scope_cbuf) for n, size in sizes.items()}
        raw = (max(bg, ba) ** 2,)
        self.raw = [t.Tensor("float32", raw, name=f"raw_{i}", scope=tik.scope_ubuf) for i in (0, 1)]
        names = ("high_odd", "high_even", "low_odd", "low_even")  # each in banks of which it never meets another
        self.extremes = [t.Tensor("float32", (FP32_LANES,), name=n, scope=tik.scope_ubuf) for n in names]
        self.bits = t.Tensor("int32", (8,), name="bits", scope=tik.scope_ubuf)

    def _row_of_blocks(self, p: Any, begin: Any, end: Any) -> None:
        """This core's pairs in row p of blocks."""
        t, tiling = self.t, self.tiling
        first, last = t.Scalar("int64", "first"), t.Scalar("int64", "last")
        t.scalar_max(first, begin - p * tiling.across, 0)
        t.scalar_min(last, end - p * tiling.across, tiling.across)
        self._load_square(self.raw[1], self.g_inverse, p, tiling.bg)
        self._load_gradient(p, first)
        g_scale = self._to_stripes("g", self.raw[1], tiling.bg, tiling.bg)
        self._load_square(self.raw[1], self.a_inverse, first, tiling.ba)
        d_scale = t.Scalar("int64", "d_scale", self._to_stripes("d", self.raw[0], tiling.bg, tiling.ba))
        with t.for_range(first, last) as q:
            self._pair(p, q, last, g_scale, d_scale)

    def _pair(self, p: Any, q: Any, last: Any, g_scale: Any, d_scale: Any) -> None:
        """The result's block; the next block of dW goes to L1 before this one is stored, which the vector unit waits for."""
        t, tik, tiling = self.t, self.tik, self.tiling
        bg, ba = tiling.bg, tiling.ba
        with t.if_scope(q + 1 < last):
            self._load_gradient(p, q + 1)
        total = t.Tensor("float32", (2, bg * ba), name="total", scope=tik.scope_cc)
        self._multiply(total, self.l1["g"], self.l1["d"], bg, bg, ba)
        a_scale = self._to_stripes("a", self.raw[1], ba, ba)
        with t.new_stmt_scope():
            product = t.Tensor("float16", (bg * ba,), name="product", scope=tik.scope_ubuf)
            t.data_move(product, total, 0, 1, bg * ba // FRACTAL_ITEMS, 0, 0, 1)
            t.data_move(self.l1["product"], product, 0, 1, bg * ba // FRACTAL, 0, 0)
        self._multiply(total[bg * ba], self.l1["product"], self.l1["a"], bg, ba, ba)
        factor = self._inverse_of_product(g_scale, d_scale, a_scale)
        with t.if_scope(q + 1 < last):
            self._load_square(self.raw[1], self.a_inverse, q + 1, ba)
            d_scale.set_as(self._to_stripes("d", self.raw[0], bg, ba))
        self._store(p, q, total[bg * ba], factor)

    # Loading ----------------------------------------------------------------------------------------------------------

    def _load_square(self, raw: Any, packed: Any, index: Any, edge: int) -> None:
        self.t.data_move(raw, packed[index * edge * edge], 0, 1, edge * edge // 8, 0, 0)

    def _load_gradient(self, p: Any, q: Any) -> None:
        """Block (p, q) of dW, zeros where dW has none."""
        t, tiling, raw = self.t, self.tiling, self.raw[0]
        block = raw[0 : tiling.bg * tiling.ba]
        if tiling.tail_outputs or tiling.tail_inputs:
            with t.if_scope(self.tik.any(p == tiling.down - 1, q == tiling.across - 1)):
                fill(t, raw, 0.0)
        rows = t.Scalar("int64", "rows")
        t.scalar_min(rows, tiling.outputs - p * tiling.bg, tiling.bg)
        source = self.gradient[p * tiling.bg * tiling.inputs + q * tiling.ba]

        def read(width: int) -> None:
            t.data_move(block, source, 0, rows, width // 8, (tiling.inputs - width) // 8, (tiling.ba - width) // 8)

        self._by_width(q, read)

    def _by_width(self, q: Any, emit: Any) -> None:
        """`emit(columns)` for inner blocks, and for the last one where it is narrower."""
        t, tiling = self.t, self.tiling
        if not tiling.tail_inputs:
            emit(tiling.ba)
            return
        with t.if_scope(q < tiling.across - 1):
            emit(tiling.ba)
        with t.else_scope():
            emit(tiling.tail_inputs)

    # Scaling ----------------------------------------------------------------------------------------------------------

    def _to_stripes(self, name: str, raw: Any, rows: int, columns: int) -> Any:
        """The block, scaled and in fp16, as FRACTAL_NZ in L1; returns the exponent field of the scale."""
        t, tik = self.t, self.tik
        field, scale = self._scale(name, raw, rows * columns)
        for first, number in repeats(rows * columns // FP32_LANES):
            here = raw[first * FP32_LANES]
            t.vmuls(FP32_LANES, here, here, scale, number, 1, 1, 8, 8)
        with t.new_stmt_scope():
            pitch = rows + 1  # blocks of 16 numbers; odd, so that the stripes fall into different banks
            shape = (columns // FRACTAL * pitch * FRACTAL,)
            stripes = t.Tensor("float16", shape, name=f"{name}_stripes", scope=tik.scope_ubuf)
            for first in range(0, columns, FP32_LANES):
                count = min(FP32_LANES, columns - first)
                target, source = stripes[first * pitch], raw[first]
                t.vconv(count, "none", target, source, rows, pitch, 1, 1, columns // 8)
            t.data_move(self.l1[name], stripes, 0, columns // FRACTAL, rows, 1, 0)
        return field

    def _scale(self, name: str, raw: Any, count: int) -> tuple[Any, Any]:
        """The power of two that brings the largest |number| into [1/2, 1): its exponent field (1 to 254), and itself."""
        t = self.t
        largest = self._largest(raw, count)
        field, one = t.Scalar("int64", f"{name}_field"), t.Scalar("int32", "one")
        field.set_as(0)
        for k in range(8):
            one.set_as(largest[k])
            t.scalar_max(field, field, one)
        field.set_as(2 * EXPONENT_BIAS - 1 - field // (1 << MANTISSA_BITS))
        t.scalar_max(field, field, 1)
        return field, self._power_of_two(field)

    def _largest(self, raw: Any, count: int) -> Any:
        """Eight numbers whose maximum is the largest |number| of the block, as the integers that their bits are."""
        t, lanes = self.t, FP32_LANES
        high_odd, high_even, low_odd, low_even = self.extremes
        for high, low, start in ((high_even, low_even, 0), (high_odd, low_odd, lanes)):
            t.vadds(lanes, high, raw[start], 0.0, 1, 1, 1, 8, 8)
            t.vadds(lanes, low, raw[start], 0.0, 1, 1, 1, 8, 8)
            for first, number in repeats(count // (2 * lanes) - 1):
                source = raw[(2 * first + 2) * lanes + start]
                t.vmax(lanes, high, source, high, number, 1, 1, 1, 0, 16, 0)
                t.vmin(lanes, low, source, low, number, 1, 1, 1, 0, 16, 0)
        t.vmax(lanes, high_odd, high_odd, high_even, 1, 1, 1, 1, 8, 8, 8)
        t.vmin(lanes, low_odd, low_odd, low_even, 1, 1, 1, 1, 8, 8, 8)
        t.vmuls(lanes, low_odd, low_odd, -1.0, 1, 1, 1, 8, 8)
        t.vmax(lanes, high_odd, high_odd, low_odd, 1, 1, 1, 1, 8, 8, 8)
        while lanes > 8:
            lanes //= 2
            t.vmax(lanes, high_odd, high_odd, high_odd[lanes], 1, 1, 1, 1, 8, 8, 8)
        return high_odd.reinterpret_cast_to("int32")

    def _power_of_two(self, field: Any) -> Any:
        """The fp32 number 2^(field - 127)."""
        number = self.t.Scalar("float32", "power")
        self.bits[0].set_as(field * (1 << MANTISSA_BITS))
        number.set_as(self.bits.reinterpret_cast_to("float32")[0])
        return number

    def _inverse_of_product(self, *fields: Any) -> Any:
        """1 / the product of the scales, held to 2^+-126."""
        t = self.t
        field = t.Scalar("int64", "inverse")
        field.set_as((len(fields) + 1) * EXPONENT_BIAS - sum(fields[1:], fields[0]))
        t.scalar_max(field, field, 1)
        t.scalar_min(field, field, 2 * EXPONENT_BIAS - 1)
        return self._power_of_two(field)

    # On the cube, and back --------------------------------------------------------------------------------------------

    def _multiply(self, total: Any, left: Any, right: Any, m: int, k: int, n: int) -> None:
        """total [m, n] = left [m, k] right [k, n], both FRACTAL_NZ in L1."""
        t, tik = self.t, self.tik
        m1, k1, n1 = m // FRACTAL, k // FRACTAL, n // FRACTAL
        with t.new_stmt_scope():
            l0a = t.Tensor("float16", (m * k,), name="left", scope=tik.scope_ca)
            l0b = t.Tensor("float16", (k * n,), name="right", scope=tik.scope_cb)
            for i in range(m1):
                t.load2dv1(l0a[i * k1 * FRACTAL_ITEMS], left[i * FRACTAL_ITEMS], 0, k1, m1, 0, False)
            for i in range(k1):
                t.load2dv1(l0b[i * n1 * FRACTAL_ITEMS], right[i * FRACTAL_ITEMS], 0, n1, k1, 0, True)
            t.mmad(total, l0a, l0b, m, k, n, 0)

    def _store(self, p: Any, q: Any, total: Any, factor: Any) -> None:
        """Block (p, q) of the result = factor * total, in strips of rows; rows past the outputs are left out."""
        t, bg = self.t, self.tiling.bg
        strip = STRIP_ROWS if bg % STRIP_ROWS == 0 else FRACTAL
        with t.for_range(0, bg // strip, thread_num=2) as index:
            start = p * bg + index * strip
            with t.if_scope(start < self.tiling.outputs):
                self._store_strip(start, q, total, index, strip, factor)

    def _store_strip(self, start: Any, q: Any, total: Any, index: Any, strip: int, factor: Any) -> None:
        t, tiling = self.t, self.tiling
        part = total[index * (strip // FRACTAL) * FRACTAL_ITEMS]
        rows = fractals_to_rows(t, part, tiling.bg // FRACTAL, (strip, tiling.ba), factor)
        count = t.Scalar("int64", "count")
        t.scalar_min(count, tiling.outputs - start, strip)
        target = self.result[start * tiling.inputs + q * tiling.ba]

        def write(width: int) -> None:
            t.data_move(target, rows, 0, count, width // 8, (tiling.ba - width) // 8, (tiling.inputs - width) // 8)

        self._by_width(q, write)
