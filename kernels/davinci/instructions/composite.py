"""Calls that TIK itself builds from several instructions."""

from __future__ import annotations

from typing import Any, Callable, Dict

COMPOSITES: Dict[str, Callable[..., Any]] = {}

NOT_ON_ASCEND_910 = (
    "load2dv2", "load3dv2", "vcmpvs_lt", "vmaxs", "vmins", "vshl", "vshr", "vlrelu", "vci", "vgather", "vreduce", "vcopy", "vbrcb",
    "vaddrelu", "vsubrelu", "vmulconv", "vaddreluconv", "data_move_pad", "vec_vci",
)
