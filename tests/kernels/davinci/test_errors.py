"""Every rule has a kernel that breaks it and a neighbour that just keeps it; errors name the kernel's own file and line."""

from __future__ import annotations

import linecache
from typing import Any, Callable

import numpy as np
import pytest
from tik_program import described, program

from bert_thor.kernels import davinci
from bert_thor.kernels.davinci import errors, tik

DATA = np.random.default_rng(0).uniform(1, 2, 2048).astype(np.float32)
UB, L1, L0A, L0B, L0C, GM = (
    tik.scope_ubuf, tik.scope_cbuf, tik.scope_ca, tik.scope_cb, tik.scope_cc, tik.scope_gm,
)  # fmt: skip

Case = Callable[[Any, Any, Any, Any, bool], None]
CASES: list[tuple[type[errors.DavinciError], Case]] = []


def breaks(error: type[errors.DavinciError]) -> Callable[[Case], Case]:
    """``case(t, ub, x, y, bad)``: ub is 2048 float32 with data, x and y are 2048 float32 in global memory."""

    def register(case: Case) -> Case:
        CASES.append((error, case))
        return case

    return register


def local(t: Any, size: int, dtype: str = "float32", scope: str = UB, name: str = "local") -> Any:
    return t.Tensor(dtype, (size,), name=name, scope=scope)


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


def halves(t: Any, ub: Any) -> Any:
    """2048 float16 with data."""
    half = local(t, 2048, "float16", name="half")
    t.vconv(64, "none", half, ub, 32, 1, 1, 4, 8)
    return half


def cube(t: Any, ub: Any, left: int = 256, result: int = 256, k: int = 16, m: int = 16) -> Any:
    """One 16 x 16 product from halves of ub; the starts and extents can be spoilt."""
    half = halves(t, ub)
    l1 = local(t, 2048, "float16", L1, "l1")
    l0a, l0b = local(t, 1024, "float16", L0A, "l0a"), local(t, 1024, "float16", L0B, "l0b")
    l0c = local(t, 1024, "float32", L0C, "l0c")
    t.data_move(l1, half, 0, 1, 128, 0, 0)
    t.load2dv1(l0a, l1, 0, 4, 1, 0, False)
    t.load2dv1(l0b, l1, 0, 4, 1, 0, False)
    t.mmad(l0c[result], l0a[left], l0b, m, k, 16, 0)
    return l0c[result]


# Limits ---------------------------------------------------------------------------------------------------------------


@breaks(errors.LimitError)
def a_float32_mask_has_64_lanes(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    t.vadds(64 + bad, ub, ub, 1.0, 1, 1, 1, 8, 8)


@breaks(errors.LimitError)
def a_mask_selects_something(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    t.vadds([0, 0 if bad else 1], ub, ub, 1.0, 1, 1, 1, 8, 8)


@breaks(errors.LimitError)
def a_float32_mask_has_no_high_word(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    t.vadds([int(bad), 1], ub, ub, 1.0, 1, 1, 1, 8, 8)


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
    cube(t, ub, left=0, k=4096 if bad else 64, m=1)


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


# Data types, scopes, names --------------------------------------------------------------------------------------------


@breaks(errors.DataTypeError)
def there_is_no_bfloat16(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    local(t, 16, "bfloat16" if bad else "float16")


@breaks(errors.DataTypeError)
def vrelu_is_float16_only(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    data = ub if bad else halves(t, ub)
    t.vrelu(64, data, data, 1, 1, 1, 8, 8)


@breaks(errors.DataTypeError)
def vcmax_is_float16_only(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    data = ub if bad else halves(t, ub)
    t.vcmax(64, data[512], data, 1, 1, 1, 8)


@breaks(errors.DataTypeError)
def operands_have_one_type(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    half = halves(t, ub)
    t.vadd(64, half, half, ub if bad else half, 1, 1, 1, 1, 8, 8, 8)


@breaks(errors.DataTypeError)
def float32_does_not_convert_to_int8(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    t.vconv(64, "round", local(t, 64, "int8" if bad else "int32"), ub, 1, 1, 1, 8, 8)


@breaks(errors.DataTypeError)
def a_rounding_mode_belongs_to_its_types(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    t.vconv(64, "floor" if bad else "odd", local(t, 64, "float16"), ub, 1, 1, 1, 4, 8)


@breaks(errors.DataTypeError)
def moves_convert_nothing_outside_l0c(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    t.data_move(local(t, 64, "float16" if bad else "float32"), ub, 0, 1, 4, 0, 0)


@breaks(errors.DataTypeError)
def the_cube_multiplies_float16(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    if bad:
        l0c = local(t, 256, "float32", L0C)
        t.mmad(l0c, local(t, 256, "float32", L0A), local(t, 256, "float16", L0B), 16, 16, 16, 0)
    else:
        cube(t, ub)


@breaks(errors.DataTypeError)
def atomic_add_is_float32_only(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    extra = t.Tensor("float16" if bad else "float32", (64,), name="extra", scope=GM, is_workspace=True)
    t.set_atomic_add(1)
    t.data_move(extra, halves(t, ub) if bad else ub, 0, 1, 4, 0, 0)
    t.set_atomic_add(0)


@breaks(errors.DataTypeError)
def a_scalar_and_an_element_have_one_type(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    t.Scalar("float16" if bad else "float32").set_as(ub[0])


@breaks(errors.ScopeError)
def vectors_work_in_ub(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    t.vadds(64, ub, local(t, 64, scope=L1) if bad else ub, 1.0, 1, 1, 1, 8, 8)


@breaks(errors.ScopeError)
def l1_does_not_go_to_global_memory(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    l1 = local(t, 2048, scope=L1)
    t.data_move(l1, x, 0, 1, 256, 0, 0)
    t.data_move(y if bad else ub, l1, 0, 1, 256, 0, 0)


@breaks(errors.ScopeError)
def a_tensor_ends_with_its_scope(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    with t.new_stmt_scope():
        inner = local(t, 64)
        t.vector_dup(64, inner, 0.0, 1, 1, 8)
        if not bad:
            t.vadds(64, ub, inner, 1.0, 1, 1, 1, 8, 8)
    if bad:
        t.vadds(64, ub, inner, 1.0, 1, 1, 1, 8, 8)


@breaks(errors.ScopeError)
def a_loop_variable_ends_with_its_loop(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    with t.for_range(0, 2) as i:
        t.vadds(64, ub[i * 64], ub[i * 64], 1.0, 1, 1, 1, 8, 8)
    t.vadds(64, ub[i * 64 if bad else 64], ub[1024], 1.0, 1, 1, 1, 8, 8)


@breaks(errors.ScopeError)
def a_scalar_reads_from_ub(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    t.Scalar("float32").set_as(x[0] if bad else ub[0])


@breaks(errors.UnavailableError)
def instructions_of_later_chips_are_refused(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    (t.vlrelu if bad else t.vabs)(64, ub, ub, 1, 1, 1, 8, 8)


@breaks(errors.UnavailableError)
def unknown_instructions_are_refused_by_name(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    (t.vec_teleport if bad else t.vec_abs)(64, ub, ub, 1, 8, 8)


@breaks(errors.UnavailableError)
def conversion_modes_end_at_7(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    t.data_move(local(t, 256, "float16" if not bad else "float32"), cube(t, ub), 0, 1, 1, 0, 0, 8 if bad else 1)


@breaks(errors.ArgumentError)
def missing_arguments_are_named(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    t.vadds(64, ub, ub, 1.0, 1, 1, 1, *((8,) if bad else (8, 8)))


@breaks(errors.ArgumentError)
def unknown_arguments_are_named(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    t.vec_adds(64, ub, ub, 1.0, 1, 8, 8, **({"mask_modus": "normal"} if bad else {"mask_mode": "normal"}))


# Overlap --------------------------------------------------------------------------------------------------------------


@breaks(errors.OverlapError)
def one_repeat_is_identical_or_disjoint(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    t.vadds(64, ub[32 if bad else 64], ub, 1.0, 1, 1, 1, 8, 8)


@breaks(errors.OverlapError)
def a_repeat_does_not_write_what_the_next_reads(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    t.vadds(64, ub[64 if bad else 128], ub, 1.0, 2, 1, 1, 8, 8)


@breaks(errors.OverlapError)
def accumulation_goes_through_src1(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    sources = (ub, ub[64]) if bad else (ub[64], ub)
    strides = (0, 0, 8) if bad else (0, 8, 0)
    t.vadd(64, ub, *sources, 3, 1, 1, 1, *strides)


@breaks(errors.OverlapError)
def vec_trans_in_place_is_whole(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    half = halves(t, ub)
    t.vec_trans(half[128 if bad else 0], half, 1, 1, 1)


# Bounds, initialisation, poison, races ----------------------------------------------------------------------------------


@breaks(errors.BoundsError)
def accesses_stay_in_their_tensor(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    t.vadds(64, ub[2048 - 64 + 8 * bad], ub, 1.0, 1, 1, 1, 8, 8)


@breaks(errors.BoundsError)
def symbolic_starts_too(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    with t.for_range(0, 32 + bad) as i:
        t.vmuls(64, ub[i * 64], ub[i * 64], 1.0, 1, 1, 1, 8, 8)


@breaks(errors.BoundsError)
def moves_stay_in_global_memory(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    t.data_move(ub, x[1024], 0, 1, 128 + bad, 0, 0)


@breaks(errors.BoundsError)
def constant_indices_stay_in_their_extent(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    table = t.Tensor("float32", (4, 8), name="table", scope=UB)
    t.vector_dup(8, table[2 if not bad else 5, 0], 0.0, 1, 1, 1)


@breaks(errors.UninitialisedError)
def reads_follow_writes(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    fresh = local(t, 64)
    t.vector_dup(63 if bad else 64, fresh, 0.0, 1, 1, 8)
    t.vadds(64, ub, fresh, 1.0, 1, 1, 1, 8, 8)


@breaks(errors.UninitialisedError)
def a_tensor_of_a_loop_starts_unwritten_every_time(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    with t.for_range(0, 3) as i:
        fresh = local(t, 8)
        with t.if_scope(i < (2 if bad else 3)):
            t.vector_dup(8, fresh, 0.0, 1, 1, 1)
        t.vadds(8, ub, fresh, 1.0, 1, 1, 1, 8, 8)


@breaks(errors.UninitialisedError)
def scalars_have_a_value_before_they_are_read(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    scalar = t.Scalar("float32")
    with t.if_scope(t.Scalar("int32", init_value=int(not bad)) == 1):
        scalar.set_as(1.0)
    t.vadds(8, ub, ub, scalar, 1, 1, 1, 8, 8)


@breaks(errors.UninitialisedError)
def sums_start_from_something(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    half, l1 = halves(t, ub), local(t, 256, "float16", L1)
    l0a, l0b, l0c = local(t, 256, "float16", L0A), local(t, 256, "float16", L0B), local(t, 256, "float32", L0C)
    t.data_move(l1, half, 0, 1, 16, 0, 0)
    t.load2dv1(l0a, l1, 0, 1, 1, 0, False)
    t.load2dv1(l0b, l1, 0, 1, 1, 0, False)
    t.mmad(l0c, l0a, l0b, 16, 16, 16, int(bad))


@breaks(errors.PoisonError)
def padding_of_a_tile_does_not_reach_global_memory(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    out = local(t, 256, name="out")
    t.data_move(out, cube(t, ub, m=15), 0, 1, 1, 0, 0)
    t.data_move(y, out, 0, 1, 32 if bad else 30, 0, 0)


@breaks(errors.PoisonError)
def nor_after_arithmetic(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    out = local(t, 256, name="out")
    t.data_move(out, cube(t, ub, m=15), 0, 1, 1, 0, 0)
    t.vmuls(64, out, out, 2.0, 4, 1, 1, 8, 8)
    t.vadd(16, ub, out[240 if bad else 224], ub, 1, 1, 1, 1, 8, 8, 8)
    t.data_move(y, ub, 0, 1, 2, 0, 0)


@breaks(errors.PoisonError)
def nor_a_scalar(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    out = local(t, 256, name="out")
    t.data_move(out, cube(t, ub, m=15), 0, 1, 1, 0, 0)
    t.Scalar("float32").set_as(out[240 if bad else 239])


@breaks(errors.StructureError)
def else_follows_if(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    with t.if_scope(t.Scalar("int32", init_value=1) == 1):
        pass
    if bad:
        t.vadds(8, ub, ub, 1.0, 1, 1, 1, 8, 8)
    with t.else_scope():
        pass


@breaks(errors.StructureError)
def a_symbol_is_not_a_python_condition(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    with t.for_range(0, 2) as i:
        if bad and i > 0:
            pass


@breaks(errors.UnavailableError)
def te_is_not_tik(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    from te import tvm

    if bad:
        with tvm.target.cce():
            pass


def kernel_of(case: Case, bad: bool) -> davinci.Program:
    def body(t: Any, x: Any, y: Any) -> None:
        ones = t.Tensor("float32", (2048,), name="ones", scope=UB)
        t.vector_dup(64, ones, 1.0, 32, 1, 8)
        t.data_move(y, ones, 0, 1, 256, 0, 0)
        ub = t.Tensor("float32", (2048,), name="ub", scope=UB)
        t.data_move(ub, x, 0, 1, 256, 0, 0)
        case(t, ub, x, y, bad)

    return program(body, {"x": described(DATA)}, {"y": described(DATA)})


@pytest.mark.parametrize(("error", "case"), CASES, ids=[case.__name__ for _, case in CASES])
def test_the_rule_is_enforced_and_no_more(error: type[errors.DavinciError], case: Case) -> None:
    kernel_of(case, bad=False).run(DATA)
    with pytest.raises(error) as caught:
        kernel_of(case, bad=True).run(DATA)
    assert isinstance(caught.value, RuntimeError)
    location = caught.value.location
    assert location is not None and location.file == __file__
    assert location.function in (case.__name__, "local", "cube", "halves")
    assert str(caught.value).startswith(f"{__file__}:{location.line}: ")
    assert (
        "t." in linecache.getline(__file__, location.line)
        or "with" in linecache.getline(__file__, location.line)
        or ("i > 0" in linecache.getline(__file__, location.line))
    )


# Cores ----------------------------------------------------------------------------------------------------------------


def on_cores(body: Callable[..., None], cores: int = 4, size: int = 64, **options: Any) -> davinci.Program:
    """``body(t, core, ub, x, y)`` on each core; ub holds 64 ones."""

    def kernel(t: Any, x: Any, y: Any) -> None:
        with t.for_range(0, cores, block_num=cores) as core:
            ub = t.Tensor("float32", (64,), name="ub", scope=UB)
            t.vector_dup(64, ub, 1.0, 1, 1, 8)
            body(t, core, ub, x, y)

    return program(kernel, {"x": ((64,), "float32")}, {"y": ((size,), "float32")}, **options)


ONES = np.ones(64, np.float32)


def test_two_cores_do_not_write_one_place() -> None:
    on_cores(lambda t, core, ub, x, y: t.data_move(y[core * 16], ub, 0, 1, 2, 0, 0)).run(ONES)
    with pytest.raises(errors.RaceError, match=r"core \d writes element"):
        on_cores(lambda t, core, ub, x, y: t.data_move(y[core * 15], ub, 0, 1, 2, 0, 0)).run(ONES)


def test_the_last_blocks_of_a_store_are_somebody_elses() -> None:
    """12 numbers per core stored as two blocks of 8: the tail of each core lands in the next core's part."""
    with pytest.raises(errors.RaceError):
        on_cores(lambda t, core, ub, x, y: t.data_move(y[core * 12], ub, 0, 1, 2, 0, 0)).run(ONES)


def test_a_core_does_not_read_what_another_writes() -> None:
    def exchange(own: bool) -> Callable[..., None]:
        def body(t: Any, core: Any, ub: Any, x: Any, y: Any) -> None:
            t.data_move(y[core * 16], ub, 0, 1, 2, 0, 0)
            t.data_move(ub, y[(core if own else (core + 1) % 4) * 16], 0, 1, 2, 0, 0)

        return body

    on_cores(exchange(True)).run(ONES)
    with pytest.raises(errors.RaceError):
        on_cores(exchange(False)).run(ONES)


def test_plain_and_atomic_writes_do_not_mix() -> None:
    def body(plain_core: int) -> Callable[..., None]:
        def write(t: Any, core: Any, ub: Any, x: Any, y: Any) -> None:
            with t.if_scope(core == plain_core):
                t.data_move(y, ub, 0, 1, 8, 0, 0)
            with t.else_scope():
                t.set_atomic_add(1)
                t.data_move(y, ub, 0, 1, 8, 0, 0)
                t.set_atomic_add(0)

        return write

    assert (on_cores(body(-1)).run(ONES).outputs[0] == 4).all()
    with pytest.raises(errors.RaceError):
        on_cores(body(0)).run(ONES)


def test_an_output_is_written_whole() -> None:
    with pytest.raises(errors.UnwrittenOutputError, match="element 48 of 64"):
        on_cores(lambda t, core, ub, x, y: t.data_move(y[core * 16], ub, 0, 1, 2, 0, 0), cores=3).run(ONES)


NESTS = {
    "nested": (lambda t: (t.for_range(0, 2, block_num=2), t.for_range(0, 2, block_num=2)), "cannot be nested"),
    "not from 0": (lambda t: (t.for_range(1, 3, block_num=2),), "runs from 0"),
    "other extent": (lambda t: (t.for_range(0, 4, block_num=2),), "runs from 0"),
    "with threads": (lambda t: (t.for_range(0, 2, block_num=2, thread_num=2),), "thread_num"),
}


@pytest.mark.parametrize("name", NESTS)
def test_the_loop_over_cores_has_one_form(name: str) -> None:
    from contextlib import ExitStack

    loops, words = NESTS[name]

    def body(t: Any, x: Any, y: Any) -> None:
        with ExitStack() as stack:
            for loop in loops(t):
                stack.enter_context(loop)

    with pytest.raises(errors.StructureError, match=words):
        program(body, {"x": ((64,), "float32")}, {"y": ((64,), "float32")})


def test_one_loop_over_cores() -> None:
    def body(t: Any, x: Any, y: Any) -> None:
        for _ in range(2):
            with t.for_range(0, 2, block_num=2):
                pass

    with pytest.raises(errors.StructureError, match="second"):
        program(body, {"x": ((64,), "float32")}, {"y": ((64,), "float32")})


def test_other_profiles_and_a_missing_build_are_refused() -> None:
    with pytest.raises(errors.UnavailableError):
        tik.Dprofile("v100", "mini")
    with pytest.raises(errors.StructureError, match="BuildCCE 0 times"):
        davinci.trace(lambda kernel_name: tik.Tik())


def test_arrays_must_fit_their_inputs() -> None:
    kernel = on_cores(lambda t, core, ub, x, y: t.data_move(y[core * 16], ub, 0, 1, 2, 0, 0))
    for arrays in ((), (ONES, ONES), (ONES.astype(np.float16),), (ONES[:32],)):
        with pytest.raises(errors.ArgumentError):
            kernel.run(*arrays)
    with pytest.raises(errors.ArgumentError, match="no check"):
        kernel.run(ONES, ignore=("everything",))
    with pytest.raises(errors.ArgumentError, match="no constant"):
        kernel.run(ONES, constants={"gm.speed": 1})
    with pytest.raises(errors.ArgumentError, match="not modelled"):
        kernel.run(ONES, chip="Ascend310")


def test_a_barrier_needs_its_workspace_and_all_cores() -> None:
    def kernel(workspace: tuple[int, str], part: bool) -> Callable[..., None]:
        def body(t: Any, core: Any, ub: Any, x: Any, y: Any) -> None:
            sync = t.Tensor(workspace[1], (workspace[0],), name="sync", scope=GM, is_workspace=True, is_atomic_add=True)
            with t.if_scope(core < (2 if part else 4)):
                t.block_barrier(sync)
            t.data_move(y[core * 16], ub, 0, 1, 2, 0, 0)

        return body

    on_cores(kernel((16, "int64"), False)).run(ONES)
    for wrong in ((8, "int64"), (16, "int32")):
        with pytest.raises(errors.ArgumentError, match="block_barrier"):
            on_cores(kernel(wrong, False))
    with pytest.raises(errors.LimitError, match="some cores only"):
        on_cores(kernel((16, "int64"), True)).run(ONES)
