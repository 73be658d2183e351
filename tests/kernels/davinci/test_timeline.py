"""Cycles: the formulas against the published tables, and the timeline against programs whose answer is known."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
from tik_program import described, program

from bert_thor.kernels import davinci
from bert_thor.kernels.davinci import banks, tik, timeline
from bert_thor.kernels.davinci.instructions import TABLE
from bert_thor.kernels.davinci.machine import Machine, pessimistic_constants, source_of, uncertain_constants

MACHINE = Machine()
DATA = np.ones(16384, np.float32)


def busy(call: Callable[..., None], pipe: str, dtype: str = "float32") -> float:
    """Cycles that a pipe is busy with ``call(t, ub)`` alone; ub is 64 KiB."""

    def kernel(with_call: bool) -> float:
        def body(t: Any, x: Any, y: Any) -> None:
            ub = t.Tensor("float32", (16384,), name="ub", scope=tik.scope_ubuf)
            t.data_move(ub, x, 0, 1, 2048, 0, 0)
            if with_call:
                call(t, ub if dtype == "float32" else ub.reinterpret_cast_to(dtype))
            t.data_move(y, ub, 0, 1, 2048, 0, 0)

        report = program(body, {"x": described(DATA)}, {"y": described(DATA)}).run(DATA).report
        return report.busy[pipe] * report.cycles / 100

    return kernel(True) - kernel(False)


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


@pytest.mark.parametrize(("apart", "cycles"), [(0, 2), (64, 1), (128, 2), (192, 1), (16, 2)])
def test_two_sources_meet_in_the_banks(apart: int, cycles: int) -> None:
    """1 cycle per repeat when the sources are 256 bytes apart modulo 512, 2 when they share bank groups."""
    call = lambda t, ub: t.vadd(64, ub[8192], ub[0], ub[4096 + apart], 16, 1, 1, 1, 8, 8, 8)  # noqa: E731
    assert busy(call, "V") == 16 * cycles


@pytest.mark.parametrize(("block_stride", "cycles"), [(1, 1), (8, 4), (16, 8), (4, 2), (3, 1)])
def test_block_strides_meet_in_the_banks(block_stride: int, cycles: int) -> None:
    """The manual's examples: stride 16 puts 8 blocks into one group, stride 8 puts 4."""
    assert banks.conflict_factor(((0, tuple(range(8)), block_stride, 0, False),), 1) == cycles


def plain_conflicts(accesses: Any, repeats: int) -> float:
    total = 0
    for r in range(repeats):
        counts: dict[tuple[bool, int], int] = {}
        for start, blocks, block, repeat, writes in accesses:
            for b in (0,) if block == 0 else blocks:
                group = (start // 32 + r * repeat + b * block) % 16
                counts[writes, group] = counts.get((writes, group), 0) + 1
        total += max(counts.values())
    return total / repeats


def test_the_bank_model_against_counting() -> None:
    generator = np.random.default_rng(0)
    for _ in range(200):
        accesses = tuple(
            (
                int(generator.integers(16)) * 32,
                tuple(sorted(generator.permutation(8)[: generator.integers(1, 9)].tolist())),
                int(generator.integers(0, 20)),
                int(generator.integers(0, 20)),
                writes,
            )
            for writes in (True, False, False)
        )
        assert banks.conflict_factor(accesses, 5) == plain_conflicts(accesses, 5)


@pytest.mark.parametrize(("mask", "cycles"), [(64, 2), (32, 1), ([0, 0xFF], 1), ([0, 0xFF00FF00FF00FF], 2)])
def test_blocks_that_the_mask_leaves_out_meet_nothing(mask: Any, cycles: int) -> None:
    """The second source lies 4 blocks after the first: they share groups only where a repeat touches more than 4 blocks."""
    call = lambda t, ub: t.vadd(mask, ub[8192], ub[0], ub[4096 + 32], 16, 1, 1, 1, 16, 16, 16)  # noqa: E731
    assert busy(call, "V") == 16 * cycles


def test_the_narrow_side_of_mixed_widths_touches_half_the_blocks() -> None:
    """64 items are 8 blocks in float32 and 4 in float16: vaxpy reads both, which fit beside each other."""

    def call(t: Any, ub: Any) -> None:
        narrow = ub.reinterpret_cast_to("float16")
        t.vaxpy(64, ub[8192], narrow[256 // 2], 1.0, 16, 1, 1, 16, 16)

    assert busy(call, "V") == 16


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


MOVES = [1024, 4096, 16384, 65536]


@pytest.mark.parametrize("size", MOVES)
def test_loads_from_global_memory_take_bytes_over_rate_and_a_fixed_part(size: int) -> None:
    units = -(-size // 512)

    def body(t: Any, x: Any, y: Any) -> None:
        ub = t.Tensor("float32", (16384,), name="ub", scope=tik.scope_ubuf)
        t.data_move(ub, x, 0, 1, size // 32, 0, 0)
        t.data_move(y, ub, 0, 1, size // 32, 0, 0)

    data = DATA[: size // 4]
    report = program(body, {"x": described(data)}, {"y": described(data)}).run(data).report
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
        cycles = MACHINE["gm.move_overhead"] + MACHINE["gm.read_latency"] + size / 512 + size / MACHINE["gm.read_cold"]
        return size / cycles

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


def chain(t: Any, ub: Any, dependent: bool, count: int = 20) -> None:
    for i in range(count):
        t.vmuls(64, ub[0 if dependent else 64 * i], ub[0 if dependent else 64 * i], 1.0, 1, 1, 1, 8, 8)


def cycles_of(body: Callable[..., None], **constants: float) -> int:
    def kernel(t: Any, x: Any, y: Any) -> None:
        body(t, x, y)

    return (
        program(kernel, {"x": described(DATA)}, {"y": described(DATA)})
        .run(DATA, constants={k.replace("__", "."): v for k, v in constants.items()})
        .cycles
    )


def test_dependent_instructions_wait_for_the_latency() -> None:
    """vmuls: 7 + 15 cycles after its one repeat; the chain works on one tensor, so every step waits."""
    _, latency = MACHINE.vector("vmuls", "float32")
    assert latency == 22

    def body(count: int) -> Callable[..., None]:
        def kernel(t: Any, x: Any, y: Any) -> None:
            ub = t.Tensor("float32", (16384,), name="ub", scope=tik.scope_ubuf)
            t.data_move(ub, x, 0, 1, 2048, 0, 0)
            chain(t, ub, True, count)
            t.data_move(y, ub, 0, 1, 2048, 0, 0)

        return kernel

    assert cycles_of(body(21)) - cycles_of(body(20)) == 1 + latency


def test_independent_pipes_overlap_and_one_buffer_serialises() -> None:
    """Load, compute, store in a loop: with two buffers the load of one step hides behind the compute of another."""

    def body(threads: int, step: int = 4096) -> Callable[..., None]:
        def kernel(t: Any, x: Any, y: Any) -> None:
            with t.for_range(0, 4, thread_num=threads) as i:
                ub = t.Tensor("float32", (step,), name="ub", scope=tik.scope_ubuf)
                t.data_move(ub, x[i * step], 0, 1, step // 8, 0, 0)
                for _ in range(8):
                    t.vmuls(64, ub, ub, 1.0, step // 64, 1, 1, 8, 8)
                t.data_move(y[i * step], ub, 0, 1, step // 8, 0, 0)

        return kernel

    single, double = cycles_of(body(1)), cycles_of(body(2))
    vector = 4 * 8 * (64 + 22)
    load = 64 + 32 + 512 + 300
    store = 64 + 32 + 256 + 150
    assert single == pytest.approx(4 * (load + store) + vector, rel=0.05)
    assert double < 0.75 * single
    assert double > vector


def test_the_scalar_unit_is_busy_with_issuing_and_looping() -> None:
    def body(t: Any, x: Any, y: Any) -> None:
        ub = t.Tensor("float32", (16384,), name="ub", scope=tik.scope_ubuf)
        t.data_move(ub, x, 0, 1, 2048, 0, 0)
        with t.for_range(0, 10) as i:
            t.vmuls(64, ub[64 * i + 64], ub[64 * i + 64], 1.0, 1, 1, 1, 8, 8)
        t.data_move(y, ub, 0, 1, 2048, 0, 0)

    report = program(body, {"x": described(DATA)}, {"y": described(DATA)}).run(DATA).report
    per_instruction = MACHINE["scalar.dispatch"]
    addresses = 4 * MACHINE["scalar.operation"]  # a multiplication and an addition each for dst and src
    expected = 2 * per_instruction + 10 * (per_instruction + addresses + MACHINE["scalar.loop"])
    assert report.busy["S"] * report.cycles / 100 == pytest.approx(expected)


def test_scalar_reads_drain_the_pipes() -> None:
    def body(reads: bool) -> Callable[..., None]:
        def kernel(t: Any, x: Any, y: Any) -> None:
            ub = t.Tensor("float32", (16384,), name="ub", scope=tik.scope_ubuf)
            t.data_move(ub, x, 0, 1, 2048, 0, 0)
            scalar = t.Scalar("float32", init_value=1.0)
            for _ in range(20):
                t.vmuls(64, ub, ub, scalar, 1, 1, 1, 8, 8)
                if reads:
                    scalar.set_as(ub[0])
            t.data_move(y, ub, 0, 1, 2048, 0, 0)

        return kernel

    wait = MACHINE["sync.cycles"] + MACHINE["scalar.load"] + MACHINE["scalar.dispatch"]
    assert cycles_of(body(True)) - cycles_of(body(False)) == pytest.approx(20 * wait, abs=wait)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_repeating_state_gives_the_same_cycles_as_every_iteration(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = np.ones((40, 512), np.float32)

    def body(t: Any, x: Any, y: Any) -> None:
        with t.for_range(0, 40, thread_num=threads) as i:
            ub = t.Tensor("float32", (512,), name="ub", scope=tik.scope_ubuf)
            t.data_move(ub, x[i, 0], 0, 1, 64, 0, 0)
            with t.for_range(0, 8) as j:
                t.vexp(64, ub[j * 64], ub[j * 64], 1, 1, 1, 8, 8)
            t.data_move(y[i, 0], ub, 0, 1, 64, 0, 0)

    kernel = program(body, {"x": described(data)}, {"y": described(data)})
    short = kernel.run(data)
    assert short._timing._classes(MACHINE, False)[0].time.skipped_iterations > 0
    monkeypatch.setattr(timeline, "SHORTEST_PERIODIC_LOOP", 10**9)
    full = kernel.run(data)
    assert full._timing._classes(MACHINE, False)[0].time.skipped_iterations == 0
    assert short.cycles == full.cycles
    assert short.report.busy == full.report.busy
    assert short.report.instructions == full.report.instructions
    assert [line[2] for line in short.report.hottest_lines()] == [line[2] for line in full.report.hottest_lines()]


def spread(cores: int, extra: int = 0) -> davinci.Program:
    """Each core stores one row; core 0 works ``extra`` times more."""

    def body(t: Any, y: Any) -> None:
        with t.for_range(0, cores, block_num=cores) as core:
            ub = t.Tensor("float32", (64,), name="ub", scope=tik.scope_ubuf)
            t.vector_dup(64, ub, 1.0, 1, 1, 8)
            with t.if_scope(core == 0), t.for_range(0, extra):
                t.vexp(64, ub, ub, 1, 1, 1, 8, 8)
            t.data_move(y[core * 64], ub, 0, 1, 8, 0, 0)

    return program(body, {}, {"y": ((cores * 64,), "float32")})


def test_the_slowest_core_decides_and_more_blocks_than_cores_come_in_waves() -> None:
    even, uneven, waves = spread(32).run(), spread(32, 50).run(), spread(96).run()
    assert uneven.cycles > even.cycles + 50 * 2
    assert waves.cycles == 3 * even.cycles
    assert len(set(uneven.report.core_cycles.values())) == 2
    assert uneven.report.core_cycles[0] == uneven.cycles > uneven.report.core_cycles[1]


def test_every_constant_has_a_source_and_sensitivity_moves_the_result() -> None:
    result = spread(32).run()
    sensitivity = result.sensitivity()
    assert set(sensitivity) == set(uncertain_constants())
    assert all(source_of(name) for name in uncertain_constants())
    low, high = sensitivity["gm.write_latency"]
    assert low < result.cycles < high
    assert result.cycles == spread(32).run(constants={}).cycles
    assert high == spread(32).run(constants={"gm.write_latency": uncertain_constants()["gm.write_latency"][1]}).cycles


def test_pessimistic_constants_are_each_the_slower_end() -> None:
    result = spread(32, 20).run()
    pessimistic = pessimistic_constants()
    assert set(pessimistic) == set(uncertain_constants())
    for name, value in pessimistic.items():
        assert result.cycles_with({name: value}) == max(result.sensitivity()[name])
    assert result.cycles_with(pessimistic) > max(max(pair) for pair in result.sensitivity().values())


def test_chips_differ_in_clock_and_cores() -> None:
    plenty = {"hbm.bytes_per_second": 1e15}
    slow = spread(32).run(chip="Ascend910B", constants=plenty)
    fast = spread(32).run(chip="Ascend910PremiumA", constants=plenty)
    assert slow.cycles == 2 * fast.cycles  # 30 cores: the last two blocks are a second wave
    assert fast.report.microseconds == pytest.approx(fast.cycles / 1220)


def test_neutral_operations_cost_nothing() -> None:
    """x + 0, x - 0, x * 1 and x // 1 are folded, as CANN's compiler does; x * 0 and x - 1 are not."""

    def cycles(value: Callable[[Any], Any]) -> int:
        def body(t: Any, y: Any) -> None:
            ub = t.Tensor("float32", (64,), name="ub", scope=tik.scope_ubuf)
            t.vector_dup(64, ub, 1.0, 1, 1, 8)
            scalar = t.Scalar("int64", "scalar", 5)
            scalar.set_as(value(scalar))
            t.data_move(y, ub, 0, 1, 8, 0, 0)

        return program(body, {}, {"y": ((64,), "float32")}).run(constants={"scalar.operation": 1000}).cycles

    assert cycles(lambda x: (0 + (1 * (x + 0) - 0) * 1) // 1) == cycles(lambda x: x)
    assert cycles(lambda x: x * 0) == cycles(lambda x: x - 1) > cycles(lambda x: x)


def test_the_chip_moves_no_more_than_hbm_allows() -> None:
    """32 cores that store together share the bandwidth; no kernel is faster than its bytes."""
    share = MACHINE["hbm.bytes_per_second"] / 1e9 / 32
    shared, plenty = spread(32).run(), spread(32).run(constants={"hbm.bytes_per_second": 1e15})
    assert shared.cycles - plenty.cycles == math.ceil(256 / share) - math.ceil(256 / MACHINE["gm.write"])
    starved = spread(32).run(constants={"hbm.bytes_per_second": 1e9})
    assert starved.cycles >= starved.report.hbm_bytes == 32 * 256


def test_report_and_trace(tmp_path: Path) -> None:
    result = spread(4, 3).run()
    text = str(result.report)
    assert f"{result.cycles} cycles" in text and "test_timeline.py" in text and "vexp 3" in text
    data = json.loads(result.report.to_json())
    assert data["cycles"] == result.cycles and data["instructions"]["data_move"] == 4
    assert data["bytes_moved"] == {"UB->GM": 4 * 256}
    assert 0 < max(data["busy_percent"].values()) <= 100
    assert data["binding"]["resource"] in data["roofline_cycles"]
    assert len(data["hottest_lines"]) <= 10 and data["hottest_lines"][0]["source"]
    result.report.save_trace(str(tmp_path / "trace.json"))
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert {e["args"]["name"] for e in events if e["ph"] == "M"} == set(timeline.PIPES)
    spans = [e for e in events if e["ph"] == "X"]
    assert len(spans) == 5 and all(e["dur"] >= 0 and e["ts"] + e["dur"] <= result.cycles for e in spans)


def test_pipes_run_one_instruction_at_a_time() -> None:
    events = spread(4, 5).run().report.events
    for pipe in timeline.PIPES:
        mine = [e for e in events if e.pipe == pipe]
        assert all(a.end <= b.start for a, b in zip(mine, mine[1:]))
