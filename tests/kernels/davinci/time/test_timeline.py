"""The timeline of one core, against programs whose cycles are known."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import pytest
from tik_program import DATA, described, program

from bert_thor.kernels.davinci.machine import Machine
from bert_thor.kernels.davinci.time import timeline
from bert_thor.kernels.davinci.trace import tik

MACHINE = Machine()


def cycles_of(body: Callable[..., None]) -> int:
    return program(body, {"x": described(DATA)}, {"y": described(DATA)}).run(DATA).cycles


def test_dependent_instructions_wait_for_the_latency() -> None:
    """vmuls: 7 + 15 cycles after its one repeat; the chain works on one tensor, so every step waits."""
    _, latency = MACHINE.vector("vmuls", "float32")
    assert latency == 22

    def body(count: int) -> Callable[..., None]:
        def kernel(t: Any, x: Any, y: Any) -> None:
            ub = t.Tensor("float32", (16384,), name="ub", scope=tik.scope_ubuf)
            t.data_move(ub, x, 0, 1, 2048, 0, 0)
            for _ in range(count):
                t.vmuls(64, ub, ub, 1.0, 1, 1, 1, 8, 8)
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


def test_pipes_run_one_instruction_at_a_time() -> None:
    def body(t: Any, x: Any, y: Any) -> None:
        with t.for_range(0, 4, thread_num=2) as i:
            ub = t.Tensor("float32", (4096,), name="ub", scope=tik.scope_ubuf)
            t.data_move(ub, x[i * 4096], 0, 1, 512, 0, 0)
            t.vexp(64, ub, ub, 64, 1, 1, 8, 8)
            t.data_move(y[i * 4096], ub, 0, 1, 512, 0, 0)

    events = program(body, {"x": described(DATA)}, {"y": described(DATA)}).run(DATA).report.events
    for pipe in ("MTE2", "V", "MTE3"):
        mine = [e for e in events if e.pipe == pipe]
        assert len(mine) == 4
        assert all(a.end <= b.start for a, b in zip(mine, mine[1:]))
