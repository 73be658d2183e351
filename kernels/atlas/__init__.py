"""Atlas A2 and A3 on a laptop: Triton kernels compiled by Huawei's compiler, then executed and checked with no device.

from bert_thor.kernels import atlas

kernel = atlas.load("my_kernel.py:my_kernel")
program = atlas.Program(kernel, atlas.compile_kernel(kernel, (x, y, n), {"WIDTH": 1024}))
result = program.run((4,), x, y, n)
print(result.hazards, result.cycles, result.report)
"""

from __future__ import annotations

from .compile import Compiled, compile_kernel
from .errors import AtlasError
from .execute import Program, Result
from .load import load
from .mutate import Mutant, mutants

__all__ = ["AtlasError", "Compiled", "Mutant", "Program", "Result", "compile_kernel", "load", "mutants"]
