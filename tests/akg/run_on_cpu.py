"""Compiles functions of the akg.py files with the AKG of the installed MindSpore for this CPU and runs them; a process of its own.

    python run_on_cpu.py FOLDER

FOLDER/jobs.json lists {"file", "function", "inputs", "outputs"}: inputs and outputs are .npy files in FOLDER,
outputs hold the shape and type on entry and the result on return.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np


def _find_akg() -> Path:
    """The folder with the package `akg`; its library is found through TVM_LIBRARY_PATH."""
    found = importlib.util.find_spec("mindspore")
    if found is None or found.origin is None:
        raise SystemExit("error: MindSpore is not installed; run `make venv`")
    root = Path(found.origin).parent
    os.environ["TVM_LIBRARY_PATH"] = str(root / "lib" / "plugin" / "cpu")
    return root / "_akg"


def _load(file: str) -> Any:
    spec = importlib.util.spec_from_file_location("akg_kernels", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _run(akg: Any, folder: Path, job: dict[str, Any]) -> None:
    tvm, module = akg.tvm, _load(job["file"])
    module.tvm = tvm
    inputs, outputs = ([np.load(folder / name) for name in job[kind]] for kind in ("inputs", "outputs"))
    placeholders = [tvm.placeholder(x.shape, str(x.dtype), name=f"input_{k}") for k, x in enumerate(inputs)]
    results = getattr(module, job["function"])(*placeholders)
    results = results if isinstance(results, list) else [results]
    schedule = tvm.create_schedule([result.op for result in results])
    kernel = akg.build(schedule, placeholders + results, "llvm", [], name=job["function"], attrs={}, polyhedral=False)
    arrays = [tvm.nd.array(x) for x in (*inputs, *outputs)]
    kernel(*arrays)
    for name, array in zip(job["outputs"], arrays[len(inputs) :]):
        np.save(folder / name, array.asnumpy())


def main() -> None:
    """See the module."""
    folder = Path(sys.argv[1]).resolve()
    os.chdir(folder)
    sys.path.insert(0, str(_find_akg()))
    import akg
    import akg.lang.ascend as cube

    cube.mmad = lambda terms, axis: akg.tvm.sum(terms, axis=axis)  # what the cube does in one instruction
    for job in json.loads((folder / "jobs.json").read_text()):
        _run(akg, folder, job)


if __name__ == "__main__":
    main()
