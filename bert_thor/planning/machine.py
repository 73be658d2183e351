"""The machine that a plan is for: 8 × Ascend 910. Every constant says where it comes from and how far it can be trusted.

measured: on the hardware, by the publication named; simulated: by an interpreter of the kernel's instructions; modelled: arithmetic on the
machine's documented rates; inferred: from published totals by stated algebra; assumed: nothing better was found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from bert_thor.errors import ConfigError
from bert_thor.files import read_json_object

KINDS = ("measured", "simulated", "modelled", "inferred", "assumed")


@dataclass(frozen=True)
class Constant:
    """A number with its origin."""

    value: float
    unit: str
    kind: str
    source: str


CORES = Constant(32, "cores", "measured", "Ascend 910 has 32 AI cores (HPCA 2021, doi 10.1109/hpca51647.2021.00071)")
CLOCK = Constant(1e9, "Hz", "measured", "1 GHz (same paper); parts with 30 cores at 0.9 GHz are sold too")
MEMORY_BANDWIDTH = Constant(1.2e12, "byte/s", "measured", "HBM of Ascend 910 (same paper)")
DEVICE_MEMORY = Constant(32 * 2**30, "byte", "measured", "HBM of Ascend 910 (same paper)")
CUBE_RATE = Constant(
    80e12,
    "FLOP/s",
    "inferred",
    "the original's two published steps, 266.4 ms (2020, two exchanges of gradients) and 218 ms (2021, one), give an exchange of 48 ms "
    "and 170 ms for 13.6 TFLOP (11.1 of the network, 2.5 of preconditioning with dense inverses): 80 TFLOP/s, 37 % of the 216 TFLOP/s "
    "that AIBench measured",
)
VECTOR_RATE = Constant(
    1.7e12,
    "FLOP/s",
    "inferred",
    "AIBench (doi 10.1007/s42514-024-00187-x) measured 3.39 TFLOP/s of the vector units in float16; float32 has half as many lanes",
)
MATRIX_RATES = {"float16": CUBE_RATE, "float32": VECTOR_RATE}
"""By precision: the cube multiplies float16, and has no float32 product."""
COLLECTIVE_RATE = Constant(
    49e9,
    "byte/s",
    "inferred",
    "the same 48 ms for 2·7/8·1.34 GB: what a ring over 8 devices sends and receives; nothing is assumed to overlap",
)
LINK_RATE = Constant(
    31.5e9,
    "byte/s",
    "assumed",
    "PCIe joins the two groups of four devices of a server (Huawei Cloud's documentation of its scheduler): generation 4 with 16 lanes, "
    "as the slowest link of a ring over 8",
)
EXCHANGE_RATES = {"float16": COLLECTIVE_RATE, "float32": LINK_RATE}
"""By precision of the run: what a float16 run gave away is used for a float16 run alone."""
UPDATE_PASSES = Constant(
    10,
    "passes",
    "assumed",
    "reads and writes of a parameter's bytes by momentum, normalisation, decay and update, unfused",
)
ORIGINAL_CACHED = Constant(0.2664, "s", "measured", "the original's log: step_time_span of steps with cached inverses")
ORIGINAL_REFRESH = Constant(0.627, "s", "measured", "the original's log: step_time_span of steps 301, 2101 and others")
ORIGINAL_AVERAGE = Constant(0.275, "s", "measured", "the original's table of results")


@dataclass(frozen=True)
class KernelCycles:
    """Cycles of one core for one unit of a kernel's work."""

    operation: str
    cycles: float
    unit: str
    """block: a 128x128 block (at `rows` rows for a covariance); tile: a 128x128 part of a weight; row: 1024 features of a norm."""
    rows: Optional[int]
    kind: str
    source: str


def _norms(operation: str, **cycles: int) -> dict[str, KernelCycles]:
    """Of a row of 1024 features, from the cycles of a chip for 6144 rows, by precision."""
    folder = operation.replace("_grad", "")
    return {
        f"{operation} {precision}": KernelCycles(
            operation, count * CORES.value / 6144, "row", None, "simulated",
            f"kernels/{folder}/tbe.py in kernels/davinci: 6144x1024 in {precision}, 32 cores, {count:,} cycles",
        )
        for precision, count in cycles.items()
    }  # fmt: skip


KERNELS = {
    "fisher_covariance": KernelCycles(
        "fisher_covariance", 79_600.0, "block", 6144, "simulated",
        "kernels/fisher_covariance/tbe.py in kernels/davinci: x 6144x1024 in float16, 32 cores, 19,889 cycles",
    ),
    "cholesky_inverse": KernelCycles(
        "cholesky_inverse", 10_300.0, "block", None, "simulated",
        "kernels/cholesky_inverse/tbe.py in kernels/davinci: the 108 blocks of a core in groups of 8, from one group and from two",
    ),
    "precondition": KernelCycles(
        "precondition", 7_860.0, "tile", None, "simulated",
        "kernels/precondition/tbe.py in kernels/davinci: a weight of 1024x1024, 32 cores, 15,717 cycles",
    ),
    **_norms("layer_norm", float16=23_931, float32=63_851),
    **_norms("layer_norm_grad", float16=35_704, float32=79_560),
    **_norms("residual_dropout_layer_norm", float16=80_654, float32=146_100),
    **_norms("residual_dropout_layer_norm_grad", float16=73_871, float32=127_926),
}  # fmt: skip
"""At 1 GHz, edge 128. `tests/bert_thor/planning/test_plan.py` simulates the first three again and looks the norms up in
`bench/results/ascend.json`. Cycles of covariances and norms are proportional to their rows, those of norms to their width.
"""


def kernel_cycles(path: Optional[Path]) -> dict[str, KernelCycles]:
    """`KERNELS`, with the entries of the JSON file on top.

        {"kernels": {"cholesky_inverse": {"cycles": 91234, "unit": "block", "source": "..."},
                     "fisher_covariance": {"cycles": 99000, "unit": "block", "rows": 6144, "source": "..."},
                     "precondition": {"cycles": 6500, "unit": "tile", "source": "..."}}}

    Cycles of one core at 1 GHz for edge 128, simulated. Raises `ConfigError` for an entry that is not of this form.
    """
    if path is None:
        return dict(KERNELS)
    found = read_json_object(path, ConfigError).get("kernels")
    if not isinstance(found, dict) or not found:
        raise ConfigError(f"{path} has no object 'kernels': expected cycles by operation")
    return {**KERNELS, **{name: _entry(path, name, entry) for name, entry in found.items()}}


def _entry(path: Path, name: str, entry: Any) -> KernelCycles:
    if name not in KERNELS:
        raise ConfigError(f"{path} has cycles of {name!r}: expected some of {', '.join(KERNELS)}")
    unit = KERNELS[name].unit
    usable = isinstance(entry, Mapping) and entry.get("unit") == unit and isinstance(entry.get("source"), str)
    cycles = entry.get("cycles") if usable else None
    rows = entry.get("rows") if usable else None
    numbers = [cycles, *([rows] if KERNELS[name].rows else [])]
    if not all(isinstance(number, (int, float)) and not isinstance(number, bool) and number > 0 for number in numbers):
        raise ConfigError(
            f"{path}: {name} needs positive cycles, unit {unit!r}, a source{' and rows' if KERNELS[name].rows else ''}"
        )
    return KernelCycles(name, float(cycles or 0), unit, int(rows) if rows else None, "simulated", entry["source"])
