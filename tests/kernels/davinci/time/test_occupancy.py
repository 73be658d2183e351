"""How long instructions keep their pipes busy: the formulas against published tables and measurements."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import pytest
from tik_program import DATA, busy, described, program

from bert_thor.kernels.davinci.instructions import TABLE
from bert_thor.kernels.davinci.machine import Machine
from bert_thor.kernels.davinci.time.report import Report
from bert_thor.kernels.davinci.trace import tik

MACHINE = Machine()

# Published cycles per repeat of 256 bytes: measured on 910B1 and 910B3 for operands that do not meet in a bank.
MEASURED = [
    ("vmuls", "float32", 1), ("vadds", "float16", 1), ("vabs", "float32", 1), ("vexp", "float16", 4), ("vexp", "float32", 2),
    ("vln", "float32", 2), ("vsqrt", "float16", 4), ("vsqrt", "float32", 2), ("vcadd", "float16", 7), ("vcadd", "float32", 3),
    ("vcmax", "float16", 7), ("vcgadd", "float16", 7),
]  # fmt: skip


@pytest.mark.parametrize(("name", "dtype", "cycles"), MEASURED)
@pytest.mark.parametrize("repeat", [1, 16, 200])
def test_vector_occupancy(name: str, dtype: str, cycles: float, repeat: int) -> None:
    width = 256 // np.dtype(dtype).itemsize

    def call(t: Any, ub: Any) -> None:
        operands = (ub, ub)
        if name.startswith("vc"):
            getattr(t, name)(width, ub[8192], ub, repeat, 1, 1, 0)
        elif name in ("vmuls", "vadds"):
            getattr(t, name)(width, *operands, 1.0, repeat, 1, 1, 8, 8)
        else:
            getattr(t, name)(width, *operands, repeat, 1, 1, 8, 8)

    assert busy(call, "V", dtype) == pytest.approx(repeat * cycles)


@pytest.mark.parametrize(
    ("m", "k", "n"), [(16, 16, 16), (32, 32, 32), (32, 48, 32), (48, 48, 32), (32, 64, 16), (128, 128, 256)]
)
def test_mmad_occupancy(m: int, k: int, n: int) -> None:
    """M1 K1 N1, plus K1 - 2 when M1 or N1 is odd, plus the measured 2 between products."""
    m1, k1, n1 = m // 16, k // 16, n // 16

    def call(t: Any, ub: Any) -> None:
        half = t.Tensor("float16", (16384,), name="half", scope=tik.scope_ubuf)
        t.vector_dup(128, half, 1.0, 128, 1, 8)
        l1 = t.Tensor("float16", (16384,), name="l1", scope=tik.scope_cbuf)
        t.data_move(l1, half, 0, 1, 1024, 0, 0)
        l0a = t.Tensor("float16", (m * k,), name="l0a", scope=tik.scope_ca)
        l0b = t.Tensor("float16", (k * n,), name="l0b", scope=tik.scope_cb)
        l0c = t.Tensor("float32", (m * n,), name="l0c", scope=tik.scope_cc)
        for start in range(0, m1 * k1, 64):
            t.load2dv1(l0a[start * 256], l1, 0, min(64, m1 * k1 - start), 1, 0, False)
        for start in range(0, k1 * n1, 64):
            t.load2dv1(l0b[start * 256], l1, 0, min(64, k1 * n1 - start), 1, 0, False)
        t.mmad(l0c, l0a, l0b, m, k, n, 0)

    penalty = k1 - 2 if k1 > 1 and (m1 % 2 or n1 % 2) else 0
    assert busy(call, "M") == m1 * k1 * n1 + penalty + 2
    instructions = -(-m1 * k1 // 64) - (-k1 * n1 // 64)
    assert busy(call, "MTE1") == m1 * k1 * 1 + k1 * n1 * 2 + 10 * instructions


@pytest.mark.parametrize(("k1", "m1"), [(2, 1), (4, 3), (8, 8)])
def test_loads_to_l0a_take_what_the_tiling_model_says(k1: int, m1: int) -> None:
    """(K1 + 10) M1 - 10 cycles until the last of M1 row loads is there; the product that follows waits for it."""

    def body(loads: int) -> Callable[..., None]:
        def kernel(t: Any, x: Any, y: Any) -> None:
            l1 = t.Tensor("float16", (32768,), name="l1", scope=tik.scope_cbuf)
            half = t.Tensor("float16", (16384,), name="half", scope=tik.scope_ubuf)
            t.vector_dup(128, half, 1.0, 128, 1, 8)
            t.data_move(l1, half, 0, 1, 1024, 0, 0)
            l0a = t.Tensor("float16", (64 * 256,), name="l0a", scope=tik.scope_ca)
            l0b = t.Tensor("float16", (64 * 256,), name="l0b", scope=tik.scope_cb)
            l0c = t.Tensor("float32", (256,), name="l0c", scope=tik.scope_cc)
            t.load2dv1(l0b, l1, 0, 1, 1, 0, False)
            for i in range(loads):
                t.load2dv1(l0a[i * k1 * 256], l1, 0, k1, 1, 0, False)
            t.mmad(l0c, l0a, l0b, 16, 16, 16, 0)
            ub = t.Tensor("float32", (256,), name="ub", scope=tik.scope_ubuf)
            t.data_move(ub, l0c, 0, 1, 1, 0, 0)
            t.data_move(y, ub, 0, 1, 32, 0, 0)

        return kernel

    described_as = ({"x": ((256,), "float32")}, {"y": ((256,), "float32")})
    runs = {n: program(body(n), *described_as).run(DATA[:256]) for n in (1, m1)}
    assert runs[m1].cycles - runs[1].cycles == (k1 + 10) * (m1 - 1)
    start = min(e.start for e in runs[m1].report.events if e.name == "load2dv1") + 2 * 1 + 10
    product = next(e for e in runs[m1].report.events if e.name == "mmad")
    assert product.start - start == (k1 + 10) * m1 - 10 + MACHINE["sync.cycles"]


def test_published_product_of_32_16_1008() -> None:
    """Measured back to back on 910B1: 128.0 cycles for 32 x 1008 x 16; the formula of M1 K1 N1 + 2 gives 128."""
    plan = TABLE["mmad"]
    kernel: list[Any] = []

    def body(t: Any, x: Any, y: Any) -> None:
        l0a = t.Tensor("float16", (32 * 1008,), name="l0a", scope=tik.scope_ca)
        l0b = t.Tensor("float16", (1008 * 16,), name="l0b", scope=tik.scope_cb)
        l0c = t.Tensor("float32", (32 * 16,), name="l0c", scope=tik.scope_cc)
        t.mmad(l0c, l0a, l0b, 32, 1008, 16, 0)
        kernel.append(t._scopes[0].block.nodes[-1])

    program(body, {"x": described(DATA)}, {"y": described(DATA)})
    instruction = kernel[0]
    occupancy, _ = plan.cycles(MACHINE, instruction, instruction.plan(instruction.integers))
    # N1 = 1 is odd: the v100 penalty, which 910B1 does not have, comes on top
    assert occupancy - (63 - 2) == 128


def load_and_store(size: int) -> Report:
    """``size`` bytes to UB and back."""

    def body(t: Any, x: Any, y: Any) -> None:
        ub = t.Tensor("float32", (16384,), name="ub", scope=tik.scope_ubuf)
        t.data_move(ub, x, 0, 1, size // 32, 0, 0)
        t.data_move(y, ub, 0, 1, size // 32, 0, 0)

    data = DATA[: size // 4]
    return program(body, {"x": described(data)}, {"y": described(data)}).run(data).report


@pytest.mark.parametrize("size", [1024, 4096, 16384, 65536])
def test_loads_from_global_memory_take_bytes_over_rate_and_a_fixed_part(size: int) -> None:
    units, report = -(-size // 512), load_and_store(size)
    fixed = MACHINE["gm.move_overhead"]
    assert report.busy["MTE2"] * report.cycles / 100 == pytest.approx(fixed + units + size / 32)
    assert report.busy["MTE3"] * report.cycles / 100 == pytest.approx(fixed + units + size / 64)
    flight = MACHINE["gm.read_latency"] + MACHINE["gm.write_latency"] + MACHINE["sync.cycles"]
    issue = 2 * MACHINE["scalar.dispatch"]
    assert fixed * 2 + 2 * units + size / 32 + size / 64 + flight <= report.cycles
    assert report.cycles <= fixed * 2 + 2 * units + size / 32 + size / 64 + flight + issue


def test_small_moves_waste_the_bandwidth() -> None:
    """The measured shape: 1 KiB moves get a few bytes per cycle, large ones come near the rate."""

    def rate(size: int) -> float:
        """Bytes per cycle of a load, from its start to that of the store that waits for it."""
        load, store = load_and_store(size).events
        return size / (store.start - MACHINE["sync.cycles"] - load.start)

    assert 2 < rate(1024) < 6
    assert rate(65536) > 0.7 * MACHINE["gm.read_cold"]


def test_repeated_reads_come_from_l2() -> None:
    def body(times: int) -> Callable[..., None]:
        def kernel(t: Any, x: Any, y: Any) -> None:
            ub = t.Tensor("float32", (16384,), name="ub", scope=tik.scope_ubuf)
            for _ in range(times):
                t.data_move(ub, x, 0, 1, 2048, 0, 0)
            t.data_move(y, ub, 0, 1, 2048, 0, 0)

        return kernel

    once, often = (program(body(n), {"x": described(DATA)}, {"y": described(DATA)}).run(DATA).report for n in (1, 9))
    work = [
        r.busy["MTE2"] * r.cycles / 100 - n * (MACHINE["gm.move_overhead"] + 128) for r, n in ((once, 1), (often, 9))
    ]
    assert work[0] == 65536 / 32
    assert work[1] == pytest.approx(65536 / 32 + 8 * 65536 / 110, abs=9)  # each move ends on a whole cycle
    assert often.hbm_bytes == once.hbm_bytes == 2 * 65536
