"""The compiler's text rewritten: flags and buffers numbered, lines of the kernel kept, what is not modelled refused by line."""

from __future__ import annotations

import pytest

from bert_thor.kernels.atlas.errors import UnsupportedKernelError
from bert_thor.kernels.atlas.mutate import mutants
from bert_thor.kernels.atlas.rewrite import called, core_of, rewrite, source_lines, workspace_of

UB = "#hivm.address_space<ub>"
BODY = f"""
    %c0_i64 = arith.constant 0 : i64
    %c512_i64 = arith.constant 512 : i64
    %0 = hivm.hir.pointer_cast(%c0_i64) : memref<128xf32, {UB}> loc(#loc2)
    %1 = hivm.hir.pointer_cast(%c512_i64) : memref<128xi32, {UB}> loc(#loc2)
    hivm.hir.set_flag[<PIPE_MTE2>, <PIPE_V>, <EVENT_ID0>] loc(#loc3)
    hivm.hir.wait_flag[<PIPE_MTE2>, <PIPE_V>, <EVENT_ID0>] loc(#loc4)
    %cast = memref.cast %1 : memref<128xi32, {UB}> to memref<?xi32, strided<[?], offset: ?>, {UB}> loc(#loc4)
    call @vcmp_eq_1d_int32_t(%cast) : (memref<?xi32, strided<[?], offset: ?>, {UB}>) -> () loc(#loc4)
    hivm.hir.pipe_barrier[<PIPE_V>] loc(#loc5)
    return
"""
TEXT = (
    "module attributes {hivm.module_core_type = #hivm.module_core_type<AIV>} {\n"
    "  func.func @kernel_infer_workspace_shape_function() -> index {\n    %c64 = arith.constant 64 : index\n    return %c64\n  }\n"
    "  func.func private @vcmp_eq_1d_int32_t(memref<?xi32>) attributes {hacc.always_inline, llvm.emit_c_interface}\n"
    "  func.func @kernel(%arg0: i64 {hacc.arg_type = #hacc.arg_type<ffts_base_address>}) attributes {hacc.entry} {"
    + BODY
    + '  }\n}\n#loc2 = loc("/k/triton.py":12:3)\n#loc3 = loc("/k/triton.py":13:3)\n#loc4 = loc(callsite(#loc6 at #loc3))\n'
    '#loc5 = loc("name"(#loc2))\n#loc6 = loc("/site-packages/triton/standard.py":267:5)\n'
)


def test_flags_barriers_and_buffers_are_numbered_with_their_lines() -> None:
    found = rewrite(TEXT, "kernel", "/k/triton.py")
    assert [(s.way, s.source, s.target, s.line) for s in found.synchronisations] == [
        ("set", "MTE2", "V", 13),
        ("wait", "MTE2", "V", 13),
        ("barrier", "V", "V", 12),
    ]
    assert [(b.memory, b.offset, b.bytes) for b in found.buffers] == [("UB", 0, 512), ("UB", 512, 512)]
    assert found.text.count("@machine_set_flag(%") == 1 and "hivm.hir" not in found.text


def test_a_comparison_is_told_its_items() -> None:
    text = rewrite(TEXT, "kernel").text
    assert text.count("call @machine_compare_items") == 2
    assert text.index("arith.constant 128 : i64") < text.index("call @vcmp_eq_1d_int32_t(%cast)")


def test_lines_of_the_kernels_file_alone_are_named() -> None:
    assert source_lines(TEXT, "/k/triton.py") == {"#loc2": 12, "#loc3": 13, "#loc4": 13, "#loc5": 12, "#loc6": 0}


def test_what_the_text_says_of_itself() -> None:
    assert called(TEXT) == ("vcmp_eq_1d_int32_t",)
    assert core_of(TEXT) == "aiv" and workspace_of(TEXT) == 64


def test_mutants_are_every_flag_pair_barrier_and_buffer() -> None:
    names = [mutant.name for mutant in mutants(rewrite(TEXT, "kernel", "/k/triton.py"))]
    assert names == [
        "no set MTE2 to V event 0 (0, line 13)",
        "no wait MTE2 to V event 0 (1, line 13)",
        "no barrier V (2, line 12)",
        "no flag MTE2 to V at all",
        "no flag MTE2 to V event 0 (0, 1, line 13)",
        "buffer UB+0 moved to 512",
        "buffer UB+512 moved to 0",
    ]


def test_a_kernel_on_both_kinds_of_core_is_refused() -> None:
    with pytest.raises(UnsupportedKernelError, match="cube and vector cores at once"):
        core_of(TEXT.replace("<AIV>", "<MIX>"))


def test_an_unknown_operation_is_refused_with_its_line() -> None:
    text = TEXT.replace("hivm.hir.pipe_barrier[<PIPE_V>] loc(#loc5)", "hivm.hir.sync_block_set[<CUBE>] loc(#loc5)")
    with pytest.raises(UnsupportedKernelError, match=r"line 12 .*sync_block_set"):
        rewrite(text, "kernel", "/k/triton.py")
