"""DaVinci on a laptop: run, check and time TBE kernels written in TIK, with no NPU and no CANN.

from bert_thor.kernels import davinci

module = davinci.load("kernel.py")
program = davinci.trace(module.my_kernel, ((128, 128), "float32"), ((128, 128), "float32"))
result = program.run(x)
print(result.outputs[0], result.cycles, result.report)

Imports run one way; every module may import ``errors`` and ``machine``, which import nothing else of this package. Beside them

    instructions  imports nothing
    trace         imports instructions
    run           imports instructions
    time          imports instructions, run
    api           imports instructions, trace, run, time

and ``__main__`` imports api and trace.
"""

from __future__ import annotations

from .api import Program, Result, trace
from .errors import DavinciError
from .machine import Machine
from .trace.load import load

__all__ = ["DavinciError", "Machine", "Program", "Result", "load", "trace"]
