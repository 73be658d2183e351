"""Types, buffers, overlap, bounds, initialisation: a kernel that breaks the rule, and a neighbour that just keeps it."""

from __future__ import annotations

from typing import Any

import pytest
from rules import GM, L0A, L0B, L0C, L1, UB, Case, Cases, check, cube, halves, local, registering

from bert_thor.kernels.davinci import errors

CASES: Cases = []
breaks = registering(CASES)


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


@breaks(errors.UnavailableError)
def one_row_is_a_vector_to_the_cube(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    cube(t, ub, m=1 if bad else 2)


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
    t.data_move(ub, x[1024], 0, 1, 129 + bad, 0, 0)  # the allocator adds a block behind each tensor


@breaks(errors.BoundsError)
def constant_indices_stay_in_their_extent(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    table = t.Tensor("float32", (4, 8), name="table", scope=UB)
    t.vector_dup(8, table[2 if not bad else 5, 0], 0.0, 1, 1, 1)


@breaks(errors.BoundsError)
def nothing_is_written_behind_a_tensor(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    t.data_move(y[2040], ub, 0, 1, 2 + bad, 0, 0)  # the allocator adds a block behind each tensor


@breaks(errors.PoisonError)
def what_lies_behind_a_tensor_is_undefined(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    t.data_move(ub, x[2040], 0, 1, 2, 0, 0)
    t.data_move(y, ub, 0, 1, 1 + bad, 0, 0)


@breaks(errors.PoisonError)
def what_nothing_wrote_does_not_reach_an_output(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    fresh = local(t, 64)
    t.vector_dup(55, fresh, 0.0, 1, 1, 8)
    t.vadds(64, ub, fresh, 1.0, 1, 1, 1, 8, 8)
    t.data_move(y, ub, 0, 1, 7 if bad else 6, 0, 0)


@breaks(errors.PoisonError)
def not_even_by_an_atomic_add(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    fresh = local(t, 8)
    t.vector_dup(7 if bad else 8, fresh, 0.0, 1, 1, 8)
    t.set_atomic_add("float32")
    t.data_move(y, fresh, 0, 1, 1, 0, 0)
    t.set_atomic_add(0)


@breaks(errors.PoisonError)
def nor_by_a_comparison(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    """Lane 3 decides nothing that is stored when only lanes 0 to 2 of the block are replaced by what is defined."""
    fresh, mask = local(t, 64), local(t, 32, "uint8", name="mask")
    t.vector_dup(3, fresh, 0.0, 1, 1, 8)
    t.vec_cmpv_lt(mask, fresh, ub, 1, 8, 8)
    t.vec_sel(64, 0, ub, mask, ub, ub[64], 1, 8, 8, 8)
    for lane in range(4 if bad else 3, 8):
        ub[lane].set_as(1.0)
    t.data_move(y, ub, 0, 1, 1, 0, 0)


@breaks(errors.UninitialisedError)
def a_scalar_is_not_read_from_what_nothing_wrote(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    fresh = local(t, 8)
    t.vector_dup(7, fresh, 0.0, 1, 1, 8)
    t.Scalar("float32").set_as(fresh[7 if bad else 6])


@breaks(errors.PoisonError)
def a_tensor_of_a_loop_starts_unwritten_every_time(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    with t.for_range(0, 3) as i:
        fresh = local(t, 8)
        with t.if_scope(i < (2 if bad else 3)):
            t.vector_dup(8, fresh, 0.0, 1, 1, 1)
        t.vadds(8, ub, fresh, 1.0, 1, 1, 1, 8, 8)
    t.data_move(y, ub, 0, 1, 1, 0, 0)


@breaks(errors.UninitialisedError)
def scalars_have_a_value_before_they_are_read(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    scalar = t.Scalar("float32")
    with t.if_scope(t.Scalar("int32", init_value=int(not bad)) == 1):
        scalar.set_as(1.0)
    t.vadds(8, ub, ub, scalar, 1, 1, 1, 8, 8)


@breaks(errors.PoisonError)
def sums_start_from_something(t: Any, ub: Any, x: Any, y: Any, bad: bool) -> None:
    half, l1 = halves(t, ub), local(t, 256, "float16", L1)
    l0a, l0b, l0c = local(t, 256, "float16", L0A), local(t, 256, "float16", L0B), local(t, 256, "float32", L0C)
    t.data_move(l1, half, 0, 1, 16, 0, 0)
    t.load2dv1(l0a, l1, 0, 1, 1, 0, False)
    t.load2dv1(l0b, l1, 0, 1, 1, 0, False)
    t.mmad(l0c, l0a, l0b, 16, 16, 16, int(bad))
    t.data_move(ub, l0c, 0, 1, 1, 0, 0)
    t.data_move(y, ub, 0, 1, 32, 0, 0)


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


@pytest.mark.parametrize(("error", "case"), CASES, ids=[case.__name__ for _, case in CASES])
def test_the_rule_is_enforced_and_no_more(error: type[errors.DavinciError], case: Case) -> None:
    check(error, case)
