"""The C ABI through cffi: the headers' own declarations, and the entry points called as MindSpore calls them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Optional

import numpy as np
from cffi import FFI

from bert_thor.kernels.library import library_path

_TYPE_NAMES = {"float32": b"float32", "float64": b"float64", "int32": b"int32", "uint16": b"bfloat16"}


@cache
def open_library() -> tuple[FFI, Any]:
    """cffi's view of libthor_kernels.so, declared by the operations' headers."""
    ffi = FFI()
    ffi.cdef("\n".join(map(_declarations, headers())))
    return ffi, ffi.dlopen(str(library_path()))


def headers() -> list[Path]:
    """kernels/<operation>/<operation>.h of every operation."""
    return sorted(path for path in library_path().parent.glob("*/*.h") if path.stem == path.parent.name)


def call(operation: str, *tensors: Optional[np.ndarray], shapes: Optional[list[tuple[int, ...]]] = None) -> int:
    """Status of `thor_<operation>` on NumPy arrays, inputs first; uint16 is passed as bfloat16, None as a null pointer.

    `shapes` replaces the arrays' own shapes, which None does not have.
    """
    ffi, library = open_library()
    if shapes is None:
        shapes = [tensor.shape for tensor in tensors]
    names = [ffi.new("char[]", _TYPE_NAMES["float32" if t is None else str(t.dtype)]) for t in tensors]
    sizes = [ffi.new("int64_t[]", list(shape) or [0]) for shape in shapes]
    pointers = [ffi.NULL if t is None else ffi.cast("void*", t.ctypes.data) for t in tensors]
    return getattr(library, f"thor_{operation}")(
        len(tensors),
        ffi.new("void*[]", pointers),
        ffi.new("int[]", [len(shape) for shape in shapes]),
        ffi.new("int64_t*[]", sizes),
        ffi.new("const char*[]", names),
        ffi.NULL,
        ffi.NULL,
    )


def _declarations(header: Path) -> str:
    lines = header.read_text().splitlines()
    kept = [line for line in lines if not line.startswith(("#", "}  //")) and line not in ('extern "C" {', "}")]
    return "\n".join(kept).replace("THOR_EXPORT ", "")
