"""From one core to the chip: waves of blocks, the bandwidth that cores share, uncertain constants, and the report."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from tik_program import program

from bert_thor.kernels import davinci
from bert_thor.kernels.davinci.machine import Machine, pessimistic_constants, source_of, uncertain_constants
from bert_thor.kernels.davinci.time import timeline
from bert_thor.kernels.davinci.trace import tik

MACHINE = Machine()


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


def test_chips_differ_in_clock_and_cores() -> None:
    plenty = {"hbm.bytes_per_second": 1e15}
    slow = spread(32).run(chip="Ascend910B", constants=plenty)
    fast = spread(32).run(chip="Ascend910PremiumA", constants=plenty)
    assert slow.cycles == 2 * fast.cycles  # 30 cores: the last two blocks are a second wave
    assert fast.report.microseconds == pytest.approx(fast.cycles / 1220)


def test_the_chip_moves_no_more_than_hbm_allows() -> None:
    """32 cores that store together share the bandwidth; no kernel is faster than its bytes."""
    share = MACHINE["hbm.bytes_per_second"] / 1e9 / 32
    shared, plenty = spread(32).run(), spread(32).run(constants={"hbm.bytes_per_second": 1e15})
    assert shared.cycles - plenty.cycles == math.ceil(256 / share) - math.ceil(256 / MACHINE["gm.write"])
    starved = spread(32).run(constants={"hbm.bytes_per_second": 1e9})
    assert starved.cycles >= starved.report.hbm_bytes == 32 * 256


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
    pessimistic, sensitivity = pessimistic_constants(), result.sensitivity()
    assert set(pessimistic) == set(uncertain_constants())
    for name, value in pessimistic.items():
        assert result.cycles_with({name: value}) == max(sensitivity[name])
    assert result.cycles_with(pessimistic) > max(max(pair) for pair in sensitivity.values())


def test_report_and_trace(tmp_path: Path) -> None:
    result = spread(4, 3).run()
    text = str(result.report)
    assert f"{result.cycles} cycles" in text and "test_report.py" in text and "vexp 3" in text
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
