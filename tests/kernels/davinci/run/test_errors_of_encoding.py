"""Capacity, alignment and limits: a kernel that breaks the rule, and a neighbour that just keeps it."""

from __future__ import annotations

from typing import Any

import pytest
from rules import L0A, L0C, L1, Case, Cases, check, cube, halves, local, registering

from bert_thor.kernels.davinci import errors

CASES: Cases = []
breaks = registering(CASES)


# Capacity -------------------------------------------------------------------------------------------------------------


@breaks(errors.CapacityError)
def ub_is_full(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    local(t, 65536 - 2048 - 2048 + 8 * bad)


@breaks(errors.CapacityError)
def double_buffering_doubles(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    with t.for_range(0, 4, thread_num=2 if bad else 1):
        local(t, 40000)


@breaks(errors.CapacityError)
def l1_is_full(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    local(t, 512 * 1024, "float16", L1)
    if bad:
        local(t, 16, "float16", L1)


@breaks(errors.CapacityError)
def l0c_is_full(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    local(t, 65536 + 256 * bad, "float32", L0C)


@breaks(errors.CapacityError)
def l0a_is_full(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    with t.for_range(0, 2, thread_num=2):
        local(t, 16384 + 256 * bad, "float16", L0A)


@breaks(errors.CapacityError)
def a_scope_gives_its_memory_back(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    with t.new_stmt_scope():
        local(t, 40000)
        if bad:
            local(t, 40000)
    local(t, 40000)


# Alignment ------------------------------------------------------------------------------------------------------------


@breaks(errors.AlignmentError)
def vector_operands_start_at_32_bytes(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    t.vadds(8, ub, ub[128 + 4 * bad], 1.0, 1, 1, 1, 8, 8)


@breaks(errors.AlignmentError)
def a_symbolic_start_is_checked_when_it_runs(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    with t.for_range(0, 4) as i:
        t.vadds(8, ub[i * 8], ub[1024 + i * (9 if bad else 16)], 1.0, 1, 1, 1, 8, 8)


@breaks(errors.AlignmentError)
def moves_start_at_32_bytes_in_ub(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    t.data_move(ub[8 - bad], x, 0, 1, 1, 0, 0)


@breaks(errors.AlignmentError)
def l0a_operands_start_at_512_bytes(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    cube(t, ub, left=128 if bad else 256)


@breaks(errors.AlignmentError)
def l0c_operands_start_at_1024_bytes(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    cube(t, ub, result=128 if bad else 256)


@breaks(errors.AlignmentError)
def vcmax_results_start_at_4_bytes(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    half = halves(t, ub)
    t.vcmax(128, half[513 if bad else 514], half, 1, 1, 1, 8)


@breaks(errors.AlignmentError)
def vcgadd_results_start_at_16_bytes(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    half = halves(t, ub)
    t.vcgadd(128, half[516 if bad else 520], half, 1, 1, 1, 8)


# Limits ---------------------------------------------------------------------------------------------------------------


@breaks(errors.LimitError)
def a_float32_mask_has_64_lanes(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    t.vadds(64 + bad, ub, ub, 1.0, 1, 1, 1, 8, 8)


@breaks(errors.LimitError)
def a_mask_selects_something(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    t.vadds([0, 0 if bad else 1], ub, ub, 1.0, 1, 1, 1, 8, 8)


@breaks(errors.LimitError)
def the_high_word_of_a_float32_mask_selects_nothing(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    t.vadds([1, int(not bad)], ub, ub, 1.0, 1, 1, 1, 8, 8)


@breaks(errors.LimitError)
def repeats_are_8_bits(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    t.vadds(8, ub, ub, 1.0, 255 + bad, 1, 1, 1, 1)


@breaks(errors.LimitError)
def an_immediate_repeat_is_at_least_one(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    t.vadds(8, ub, ub, 1.0, 0 if bad else 1, 1, 1, 1, 1)


@breaks(errors.LimitError)
def a_scalar_repeat_is_checked_when_it_runs(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    count = t.Scalar("int32", init_value=256 if bad else 0)
    t.vadds(8, ub, ub, 1.0, count, 1, 1, 1, 1)


@breaks(errors.LimitError)
def block_strides_of_two_sources_are_8_bits(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    t.vadd(8, ub, ub, ub, 1, 255 + bad, 255 + bad, 255 + bad, 8, 8, 8)


@breaks(errors.LimitError)
def repeat_strides_are_8_bits(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    t.vadds(8, ub, ub, 1.0, 1, 1, 1, 255 + bad, 255 + bad)


@breaks(errors.LimitError)
def bursts_are_12_bits(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    t.data_move(local(t, 16), ub, 0, 4096 if bad else 1, 1, 0, 0)


@breaks(errors.LimitError)
def burst_lengths_are_positive(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    t.data_move(local(t, 16), ub, 0, 1, 0 if bad else 1, 0, 0)


@breaks(errors.LimitError)
def gaps_are_16_bits(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    t.data_move(local(t, 16), ub, 0, 1, 1, 65535 + bad, 0)


@breaks(errors.LimitError)
def matrix_extents_are_12_bits(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    cube(t, ub, left=0, k=4096 if bad else 64)


@breaks(errors.LimitError)
def load2d_repeats_are_8_bits(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    l1 = local(t, 512, "float16", L1)
    t.data_move(l1, halves(t, ub), 0, 1, 32, 0, 0)
    t.load2dv1(local(t, 512, "float16", L0A), l1, 0, 256 if bad else 2, 1, 0, False)


@breaks(errors.LimitError)
def select_has_mode_0(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    t.vec_sel(64, int(bad), ub[64], t.vcmp_lt(64, ub, ub[64]), ub, ub[64], 1)


@breaks(errors.LimitError)
def four_threads_at_most(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    with t.for_range(0, 4, thread_num=4 + bad):
        pass


@breaks(errors.LimitError)
def a_loop_does_not_run_backwards(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    with t.for_range(0, -1 if bad else 0):
        pass


@breaks(errors.LimitError)
def nor_when_its_bounds_are_scalars(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    end = t.Scalar("int32", init_value=2 if bad else 3)
    with t.for_range(3, end):
        pass


@breaks(errors.LimitError)
def atomic_modes_are_0_and_1(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    t.set_atomic_add(1 + bad)
    t.set_atomic_add(0)


@breaks(errors.LimitError)
def the_work_tensor_is_large_enough(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    t.vec_rec_high_preci(64, ub, ub[1024], local(t, 128 - 8 * bad)[0:], 1, 8, 8)


@pytest.mark.parametrize(("error", "case"), CASES, ids=[case.__name__ for _, case in CASES])
def test_the_rule_is_enforced_and_no_more(error: type[errors.DavinciError], case: Case) -> None:
    check(error, case)
