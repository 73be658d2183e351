"""DaVinci on a laptop: run, check and time TBE kernels written in TIK, with no NPU and no CANN.

from bert_thor.kernels import davinci

module = davinci.load("kernel.py")
program = davinci.trace(module.my_kernel, ((128, 128), "float32"), ((128, 128), "float32"))
result = program.run(x)
print(result.outputs[0], result.cycles, result.report)
"""

from __future__ import annotations

from .api import Program, Result, trace
from .errors import DavinciError
from .load import load
from .machine import Machine

__all__ = ["DavinciError", "Machine", "Program", "Result", "load", "trace"]
