"""How many kernels of others load, trace, run and are right: ``TIK_KERNELS=FOLDERS python foreign_picture.py [NAME ...]``, or
with ``--folder ENDING``: on the files of the same names in another folder, as an older release has them.

FOLDERS are any that hold CANN's op_impl/ai_core/tbe/impl, or a checkout of one of the repositories that foreign_*.py name;
several with ``:`` between them.
"""

from __future__ import annotations

import argparse
import inspect
import os
import time
import traceback
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import foreign_arithmetic  # noqa: F401 - registers its cases
import foreign_cube  # noqa: F401 - registers its cases
import foreign_dynamic  # noqa: F401 - registers its cases
import foreign_layouts  # noqa: F401 - registers its cases
import foreign_networks  # noqa: F401 - registers its cases
import foreign_samples  # noqa: F401 - registers its cases
import foreign_search  # noqa: F401 - registers its cases
import foreign_search_last  # noqa: F401 - registers its cases
import foreign_search_more  # noqa: F401 - registers its cases
import foreign_small  # noqa: F401 - registers its cases
import numpy as np
from foreign_cases import CANN, CASES, Case

from bert_thor.kernels import davinci

STAGES = ("load", "trace", "run", "right")


@dataclass
class Outcome:
    """How far a kernel came: the number of stages that it passed, why it went no further, cycles and seconds."""

    passed: int = 0
    reason: str = ""
    cycles: int = 0
    seconds: float = 0.0


@cache
def folder(ending: str = CANN) -> Path | None:
    """The folder whose path ends so, in one of those that TIK_KERNELS names; None where there is none."""
    given = os.environ.get("TIK_KERNELS", "")
    for root in (Path(part) for part in given.split(os.pathsep) if part):
        for found in (root, *sorted(p for p in root.rglob(Path(ending).name) if p.is_dir())):
            if f"/{found.as_posix()}".endswith(f"/{ending}"):
                return found
    return None


def difference(case: Case, outputs: list[np.ndarray]) -> str:
    """Which output is wrong; empty when none is."""
    for i, (got, wanted) in enumerate(zip(outputs, case.expected)):
        if wanted is None:
            continue
        if got.size != wanted.size:
            return f"output {i} has {got.size} numbers instead of {wanted.size}"
        shown = ~np.ma.getmaskarray(wanted).reshape(-1)
        a, b = (np.ma.getdata(x).astype(np.float64).reshape(-1)[shown] for x in (got, wanted))
        worst = float(np.max(np.abs(a - b), initial=0.0))
        if not worst <= case.error * float(np.max(np.abs(b), initial=0.0)):
            return f"output {i} is wrong by {worst:.3g}"
    for i, part, wanted in case.exact:
        if not np.array_equal(part(outputs[i]), wanted):
            return f"output {i} differs in {int((part(outputs[i]) != wanted).sum())} places"
    return "" if len(outputs) == len(case.expected) else f"{len(outputs)} outputs instead of {len(case.expected)}"


def is_tensor(argument: Any) -> bool:
    """Whether an argument is a description, a list of them, or an absent tensor."""
    if isinstance(argument, list):
        return bool(argument) and isinstance(argument[0], dict)
    return argument is None or isinstance(argument, dict)


def traced(kernel: Any, case: Case) -> davinci.Program:
    """The program of a case: leading tensors by position, from the first attribute on everything by name."""
    names = list(inspect.signature(kernel).parameters)
    first = next((i for i, a in enumerate(case.arguments) if not is_tensor(a)), len(case.arguments))
    rest = dict(zip(names[first:], case.arguments[first:]))
    return davinci.trace(kernel, *case.arguments[:first], **rest, **case.attributes)


def outcome(case: Case, ignore: tuple[str, ...] = ()) -> Outcome:
    """Take one kernel as far as it goes."""
    result, begin = Outcome(), time.process_time()
    root = folder(case.folder)
    try:
        if root is None:
            raise FileNotFoundError(f"TIK_KERNELS names no folder that holds {case.folder}")
        module = davinci.load(str(root / f"{case.file}.py"), package=case.package)
        result.passed = 1
        program = traced(getattr(module, case.function or case.file), case)
        result.passed = 2
        done = program.run(*case.inputs, ignore=ignore, inplace=case.inplace)
        result.passed, result.cycles = 3, done.cycles
        result.reason = difference(case, done.outputs)
        result.passed += not result.reason
    except Exception as error:  # whatever a kernel raises is its outcome
        frame = traceback.extract_tb(error.__traceback__)[-1]
        result.reason = f"{type(error).__name__}: {error} [{Path(frame.filename).name}:{frame.lineno}]"
    result.seconds = time.process_time() - begin
    return result


def main(names: list[str], ending: str | None = None) -> None:
    """Print the table and the shares. ``ending``: run CANN's cases on another folder's files instead, as far as it has them."""
    if not os.environ.get("TIK_KERNELS"):
        raise SystemExit("set TIK_KERNELS to a folder that holds CANN's op_impl/ai_core/tbe/impl")
    cases = {name: CASES[name]() for name in names or CASES}
    if ending is not None:
        root = folder(ending)
        if root is None:
            raise SystemExit(f"TIK_KERNELS names no folder that holds {ending}")
        cases = {n: replace(c, folder=ending) for n, c in cases.items() if c.folder == CANN}
        cases = {n: c for n, c in cases.items() if (root / f"{c.file}.py").is_file()}
    counts: Counter[str] = Counter()
    for name, case in cases.items():
        result = outcome(case)
        counts.update(STAGES[: result.passed])
        stage = STAGES[result.passed - 1] if result.passed else "nothing"
        print(f"{name:36} {stage:8} {result.cycles:9d} cycles {result.seconds:5.1f} s  {result.reason}")
    print(", ".join(f"{stage} {counts[stage]} of {len(cases)}" for stage in STAGES))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--folder", help="how the path of another folder with kernels of CANN's names ends")
    given = parser.parse_args()
    main(given.names, given.folder)
