"""A rewritten kernel and the device library that it calls, as code of this machine.

bishengir-opt lowers to the LLVM dialect, libtriton translates that to LLVM IR, llvmlite prunes the wheel's bitcode and
compiles both. Of the library nothing changes but address spaces (dropped) and the names of the intrinsics:
`llvm.hivm.VADD.f32` becomes `hivm_VADD_f32`, which the machine defines.
"""

from __future__ import annotations

import functools
import hashlib
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import wheels
from .errors import CompileError, UnknownIntrinsicError
from .intrinsics import CONTROL, INTRINSICS
from .machine import build_folder, library_path

TO_LLVM = (
    "--expand-strided-metadata",
    "--lower-affine",
    "--convert-scf-to-cf",
    "--finalize-memref-to-llvm",
    "--convert-math-to-llvm",
    "--convert-arith-to-llvm",
    "--convert-cf-to-llvm",
    "--convert-func-to-llvm",
    "--reconcile-unrealized-casts",
)
TIDY = ("add_sroa_pass", "add_simplify_cfg_pass")
INLINE = ("add_always_inliner_pass", "add_global_dead_code_eliminate_pass", "add_sroa_pass")
FINISH = ("add_instruction_combine_pass", "add_simplify_cfg_pass")
KEPT: list[Any] = []  # compiled code must outlive its callers


def kernel_address(text: str, entry: str) -> int:
    """Address of the C interface of a rewritten kernel whose library is loaded."""
    import llvmlite.binding as llvm

    engine = _compiled(llvm.parse_assembly(_kernel_ir(text)))
    return int(engine.get_function_address("_mlir_ciface_" + entry))


@functools.cache
def load_library(core: str, names: tuple[str, ...]) -> None:
    """Compiles these functions of the library and lets kernels call them; raises where they reach an unknown intrinsic."""
    import llvmlite.binding as llvm

    llvm.load_library_permanently(str(library_path()))
    library = llvm.parse_bitcode(_library_bitcode(core, names))
    check_known(sorted(f.name[len("hivm_") :] for f in library.functions if f.name.startswith("hivm_")))
    engine = _compiled(library)
    for name in names:
        llvm.add_symbol(f"_mlir_ciface_{name}", engine.get_function_address(f"_mlir_ciface_{name}"))


def check_known(symbols: Sequence[str]) -> None:
    """Raises `UnknownIntrinsicError` with the names of those that the table lacks."""
    known = {row.symbol for row in INTRINSICS.values()} | {name.replace(".", "_") for name in CONTROL}
    unknown = [symbol.replace("_", ".") for symbol in symbols if symbol not in known]
    if unknown:
        raise UnknownIntrinsicError(
            f"the kernel reaches {', '.join(unknown)}, which kernels/atlas/intrinsics.py does not describe: add a row each"
        )


def _kernel_ir(text: str) -> str:
    """LLVM IR of a kernel, with its scalar loads and stores announced to the machine."""
    from triton._C.libtriton import ir
    from triton._C.libtriton import llvm as triton_llvm

    command = [str(wheels.compiler_folder() / "bin" / "bishengir-opt"), "-", *TO_LLVM]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CompileError(f"the kernel cannot be lowered for this machine: {done.stderr[:1000]}")
    with tempfile.NamedTemporaryFile("w", suffix=".mlir") as file:
        file.write(done.stdout)
        file.flush()
        context = ir.context()
        ir.load_dialects(context)
        module = ir.parse_mlir_module(file.name, context)
        return _announce_scalars(str(triton_llvm.to_module(module, triton_llvm.context())), "ptr")


def _announce_scalars(text: str, pointer: str) -> str:
    """Tells the machine of each load and store of the scalar unit; those through other pointers are the host's stack."""
    access = re.compile(
        rf"^ +(?:%[\w.]+ = load|store)(?: volatile)? (i\d+|half|bfloat|float)\b[^\n]*?, {pointer} (%[\w.]+)[^\n]*$",
        re.M,
    )

    def announce(found: re.Match[str]) -> str:
        size = {"half": 2, "bfloat": 2, "float": 4}.get(found[1]) or max(1, int(found[1][1:]) // 8)
        return f"  call void @machine_scalar(ptr {found[2]}, i64 {size}, i64 {int(' store ' in found[0])})\n{found[0]}"

    return access.sub(announce, text) + "\ndeclare void @machine_scalar(ptr, i64, i64)\n"


def _library_bitcode(core: str, names: tuple[str, ...]) -> bytes:
    """The functions that a kernel calls, out of meta_op.{aiv,aic}.c220.bc, ready for the machine; kept in the build folder."""
    import llvmlite.binding as llvm

    wheel = wheels.compiler_folder() / "lib" / f"meta_op.{core}.c220.bc"
    facts = (
        core,
        names,
        Path(__file__).read_text(),
        llvm.llvm_version_info,
        wheel.stat().st_size,
        wheel.stat().st_mtime,
    )
    kept = build_folder() / f"library_{hashlib.sha256(repr(facts).encode()).hexdigest()[:16]}.bc"
    if kept.exists():
        return kept.read_bytes()
    module = llvm.parse_bitcode(wheel.read_bytes())
    wanted = {f"_mlir_ciface_{name}" for name in names}
    absent = sorted(wanted - {f.name for f in module.functions if not f.is_declaration})
    if absent:
        raise CompileError(f"{wheel.name} has no {', '.join(absent)}: the two wheels do not fit together")
    for function in module.functions:
        if not function.is_declaration and function.name not in wanted:
            function.linkage = "internal"
    _optimize(module, ["add_global_dead_code_eliminate_pass", "add_strip_dead_prototype_pass"])
    library = llvm.parse_assembly(_for_the_host(str(module)))
    _optimize(library, [*TIDY, *INLINE, *FINISH])
    if core == "aiv":
        library = llvm.parse_assembly(_without_null(str(library)))
    kept.write_bytes(library.as_bitcode())
    return kept.read_bytes()


def _for_the_host(text: str) -> str:
    """LLVM IR of the library without what belongs to the device alone."""
    text = _announce_scalars(text, r"ptr addrspace\([1-6]\)")
    text = re.sub(r"^target .*$|, !(?:tbaa|asan|range)[\w.]* !\d+", "", text, flags=re.M)
    text = re.sub(r" addrspace\(\d+\)", "", text).replace("addrspacecast", "bitcast")
    text = re.sub(r"@llvm\.hivm\.([\w.]+)", lambda m: "@hivm_" + m[1].replace(".", "_"), text)
    promises = r" (?:writeonly|readonly|readnone|nocapture|captures\(none\))"  # the host's bodies need not keep them
    text = re.sub(r"^declare [^\n]*@hivm_[^\n]*", lambda m: re.sub(promises, "", m[0]), text, flags=re.M)
    attributes = r"\1 = { alwaysinline nounwind null_pointer_is_valid }"
    return re.sub(r"^(attributes #\d+) = \{.*\}$", attributes, text, flags=re.M)


def _without_null(text: str) -> str:
    """The vector library loads descriptors of buffers that it was not given, through null: harmless on the device. Zeros here.

    Not for the cube's library, whose pointers into L0A and L0B are offsets from null.
    """
    nothing = "@machine_nothing"

    def replaced(line: str) -> str:
        line = re.sub(r"((?:load|store|getelementptr) .*?)ptr null(?=,)", rf"\1ptr {nothing}", line)
        return re.sub(
            r"inttoptr \(i64 (\d{1,3}) to ptr\)", rf"getelementptr inbounds (i8, ptr {nothing}, i64 \1)", line
        )

    lines = [replaced(line) for line in text.splitlines()]
    return "\n".join([*lines, f"{nothing} = internal global [4096 x i8] zeroinitializer, align 16", ""])


def _compiled(module: Any) -> Any:
    import llvmlite.binding as llvm

    engine = llvm.create_mcjit_compiler(module, _host())
    engine.finalize_object()
    KEPT.append(engine)
    return engine


def _optimize(module: Any, passes: Sequence[str]) -> None:
    import llvmlite.binding as llvm

    builder = llvm.create_pass_builder(_host(), llvm.create_pipeline_tuning_options(speed_level=1))
    manager = llvm.create_new_module_pass_manager()
    for name in passes:
        getattr(manager, name)()
    manager.run(module, builder)


def _host() -> Any:
    """This machine; optimising the code costs more than it saves."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(opt=0, jit=True)
