"""From an akg.py to checked results: lower it to CCE, compile that against cce_machine.h, run it on every core."""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).resolve().parent
AKG_FOLDER = FOLDER.parents[1] / "build" / "akg"
BUFFERS = {"UBUF": 256 * 1024, "CBUF": 1024 * 1024, "CA": 64 * 1024, "CB": 64 * 1024, "CC": 256 * 1024}  # of Ascend 910

MAIN = """
int main(int, char **arguments) {{
  std::vector<char *> tensors;
  std::vector<size_t> sizes;
  for (char **name = arguments + 2; *name; ++name) {{
    FILE *file = std::fopen(*name, "rb");
    std::fseek(file, 0, SEEK_END);
    sizes.push_back(std::ftell(file));
    std::rewind(file);
    tensors.push_back(machine.Add(GM, sizes.back()));
    if (std::fread(tensors.back(), 1, sizes.back(), file) != sizes.back()) return 2;
    std::fclose(file);
  }}
  {buffers}
  for (int core = 0; core < std::atoi(arguments[1]); ++core) {{
    machine.StartCore(core);
    {kernel}({tensors});
    machine.EndCore();
  }}
  for (size_t k = 0; k < tensors.size(); ++k) {{
    FILE *file = std::fopen(arguments[2 + k], "wb");
    std::fwrite(tensors[k], 1, sizes[k], file);
    std::fclose(file);
  }}
}}
"""


class NotLoweredError(RuntimeError):
    """AKG refused the kernel or ended its process."""


class BadCodeError(RuntimeError):
    """The emitted code breaks a rule of the hardware."""


@dataclass(frozen=True)
class Code:
    """What AKG emitted: the source and how many cores it is for."""

    source: str
    cores: int


def source_text(file: str, function: str) -> str:
    """The function as `ops.Custom` hands it over: its text from `def` on."""
    spec = importlib.util.spec_from_file_location("akg_kernels", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = inspect.getsource(getattr(module, function))
    return text[text.index("def ") :]


def _tensors(described: Mapping[str, tuple[Sequence[int], str]]) -> list[dict[str, Any]]:
    keys = ("name", "tensor_name", "shape", "data_type", "format")
    return [dict(zip(keys, (n, n, list(s), d, "DefaultFormat"))) for n, (s, d) in described.items()]


def _description(name: str, inputs: Sequence[Any], outputs: Sequence[Any], rest: dict[str, Any]) -> dict[str, Any]:
    common = {"op": f"Fused_{name}", "platform": "AKG", "process": "aicore", "id": 0}
    return {**common, "input_desc": [[t] for t in inputs], "output_desc": list(outputs), **rest}


def describe_custom(
    file: str,
    function: str,
    inputs: Mapping[str, tuple[Sequence[int], str]],
    outputs: Mapping[str, tuple[Sequence[int], str]],
    dim: str,
) -> dict[str, Any]:
    """What MindSpore 1.10 and 2.0 send to AKG for `ops.Custom(func_type="akg")` on Ascend."""
    text = {"func_name": function, "func_type": "tvm_compute", "func_source_str": source_text(file, function)}
    if dim:
        text["func_compile_attrs"] = json.dumps({"dim": dim})
    attrs = [{"name": name, "data_type": "str", "value": value} for name, value in text.items()]
    given, made = _tensors(inputs), _tensors(outputs)
    operator = {
        "name": "Custom",
        "attr": attrs,
        "impl_path": "",
        "input_desc": [[t] for t in given],
        "output_desc": made,
    }
    return _description(function, given, made, {"composite": True, "composite_graph": "1.1", "op_desc": [operator]})


def describe_operator(
    file: str,
    function: str,
    inputs: Mapping[str, tuple[Sequence[int], str]],
    outputs: Mapping[str, tuple[Sequence[int], str]],
) -> dict[str, Any]:
    """What AKG takes for a single operator whose implementation lies in `file`."""
    rest = {"composite": False, "name": function, "impl_path": file, "attr": []}
    return _description(function, _tensors(inputs), _tensors(outputs), rest)


def lower(description: dict[str, Any], folder: Path) -> Code:
    """Run AKG in `folder`; raises `NotLoweredError` with the end of what it says."""
    (folder / "kernel.json").write_text(json.dumps(description))
    command = [sys.executable, "-W", "ignore", str(FOLDER / "lower.py"), str(AKG_FOLDER), "kernel.json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, check=False)
    if done.returncode or not (folder / "kernel.cce").is_file():
        raise NotLoweredError(f"exit status {done.returncode}: {(done.stdout + done.stderr)[-1500:]}")
    facts = json.loads((folder / "akg_kernel_meta" / f"{description['op']}.json").read_text())
    return Code((folder / "kernel.cce").read_text(), int(facts["blockDim"]))


def run(code: Code, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray], folder: Path) -> list[np.ndarray]:
    """Compile and run the code; raises `BadCodeError` with the rule that it breaks."""
    source = re.sub(
        r"\(__(ubuf|cbuf|ca|cb|cc)__\s+(\w+) \*\)\s*\((\d+)\)",
        lambda found: f"Allocate<{found[2]}>({found[1].upper()}, {found[3]})",
        code.source,
    )
    (folder / "main.cc").write_text(f'#include "cce_vector.h"\n{source}\n{_main(source)}')
    compiler = os.environ.get("CXX", "c++")
    command = [compiler, "-std=c++17", "-O2", "-w", "-I", str(FOLDER), "main.cc", "-o", "main"]
    compiled = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if compiled.returncode:
        raise BadCodeError(f"an instruction or type that Ascend 910 does not have: {compiled.stderr[:1500]}")
    arrays = [np.ascontiguousarray(array) for array in (*inputs, *outputs)]
    names = [f"{k}.bin" for k in range(len(arrays))]
    for name, array in zip(names, arrays):
        array.tofile(folder / name)
    done = subprocess.run(["./main", str(code.cores), *names], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BadCodeError(done.stderr.strip() or f"ended by signal {-done.returncode}: a scalar access out of bounds")
    read = [np.fromfile(folder / name, array.dtype).reshape(array.shape) for name, array in zip(names, arrays)]
    return read[len(inputs) :]


def _main(source: str) -> str:
    """`main` for the kernel in the source."""
    found = re.search(r"void (\w+)\((.*?)\) \{", source, re.DOTALL)
    assert found is not None
    types = re.findall(r"__gm__ (\w+)\*", found[2])
    tensors = ", ".join(f"reinterpret_cast<{kind} *>(tensors[{k}])" for k, kind in enumerate(types))
    buffers = " ".join(f"machine.Add({place}, {size});" for place, size in BUFFERS.items())
    return MAIN.format(buffers=buffers, kernel=found[1], tensors=tensors)
