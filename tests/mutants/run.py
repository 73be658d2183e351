"""Do the tests notice? Builds every mutant of the kernels, runs that kernel's tests on it and prints who survived.

    python tests/mutants/run.py [operation ...] [--only 3 7-12]

Works on copies in build/mutants, one per core. Exits with 1 if a mutant survives or does not compile, and before it
builds anything if a mutant does not fit its source.
"""

from __future__ import annotations

import argparse
import importlib
import multiprocessing
import os
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))

from kernel_tree import QUICK, KernelTree  # noqa: E402

from bert_thor.kernels.cases import operations  # noqa: E402

WORK = ROOT / "build" / "mutants"
TIMEOUT = 300.0  # seconds; a mutant that hangs is killed
FEWEST = 10  # mutants per operation
Mutant = tuple[str, str, str, str]  # file, original text, what replaces it, what that breaks
Result = tuple[str, int, int]  # operation, mutants, killed
tree: KernelTree  # of this process


def mutants_of(operation: str) -> list[Mutant]:
    mutants: list[Mutant] = importlib.import_module(operation).MUTANTS
    return mutants


def misfits(operation: str) -> list[str]:
    """Why the mutants of an operation cannot be trusted; empty if they can."""
    try:
        mutants = mutants_of(operation)
    except ModuleNotFoundError:
        return [f"{operation}: has no mutants; write tests/mutants/{operation}.py"]
    found = [(ROOT / file).read_text().count(before) for file, before, _, _ in mutants]
    complaints = [
        f'{operation}: the text of "{mutant[3]}" is {count} times in {mutant[0]}; choose one that is there once'
        for mutant, count in zip(mutants, found)
        if count != 1
    ]
    if len(mutants) < FEWEST:
        complaints.append(f"{operation}: has {len(mutants)} mutants; write at least {FEWEST}")
    return complaints


def verdict_of(operation: str, mutant: Mutant) -> str:
    """Build the mutant, test it, and put the original back."""
    file, before, after, _ = mutant
    path = tree.folder / file
    original = path.read_text()
    write_for(operation, path, original.replace(before, after))
    try:
        if tree.build():
            return "does not compile"
        return "killed" if tree.test(*tests_of(operation), timeout=TIMEOUT) else "SURVIVED"
    finally:
        write_for(operation, path, original)


def write_for(operation: str, source: Path, text: str) -> None:
    """Write a source that other operations may share, but let their object files stay those of the original.

    A header of kernels/common would rebuild all kernels, of which the tests of `operation` look at one.
    """
    source.write_text(text)
    for built in tree.folder.glob("build/CMakeFiles/*/kernels/*/*.o"):
        if built.parent.name not in (operation, "common"):
            built.touch()  # newer than the header: nothing to build


def tests_of(operation: str) -> list[str]:
    """The small problems of its cases.py, then its own tests where it has some."""
    tests = ROOT / "tests" / "kernels"
    generic, own = f"{tests / 'test_cases.py'}::test_every_small_problem[{operation}]", tests / operation
    return [generic, *([str(own)] if own.is_dir() else [])]


def numbers(text: str) -> range:
    """The numbers that "7" or "7-12" names, for argparse."""
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def create_tree() -> None:
    """Give this process a copy of the kernels of its own."""
    global tree
    tree = KernelTree(Path(tempfile.mkdtemp(dir=WORK)), QUICK)
    tree.create()


def run(operation: str, only: list[range]) -> Result:
    """Print what becomes of each mutant of one operation, or of those whose numbers, from 1, are in `only`."""
    chosen = [
        (number, mutant)
        for number, mutant in enumerate(mutants_of(operation), 1)
        if not only or any(number in some for some in only)
    ]
    killed = 0
    complaint = tree.build() or tree.test(*tests_of(operation), timeout=TIMEOUT)
    if complaint:
        print(f"{operation}: the unchanged kernel does not build or pass its tests; fix it first.\n{complaint}")
        return operation, len(chosen), killed
    for number, mutant in chosen:
        verdict = verdict_of(operation, mutant)
        killed += verdict == "killed"
        print(f"{operation:28} {number:3} {mutant[3]:60} {verdict}", flush=True)
    return operation, len(chosen), killed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("operation", nargs="*", help=f"default: all of {', '.join(operations())}")
    parser.add_argument("--only", nargs="+", type=numbers, default=[], help="mutants by number, such as 3 7-12")
    arguments = parser.parse_args()
    chosen = arguments.operation or operations()
    unknown = sorted(set(chosen) - set(operations()))
    if unknown:
        parser.error(f"no kernel is called {', '.join(unknown)}; there are {', '.join(operations())}")
    complaints = [complaint for operation in chosen for complaint in misfits(operation)]
    if complaints:
        sys.exit("\n".join(complaints))
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    with multiprocessing.Pool(min(len(chosen), os.cpu_count() or 1), create_tree) as pool:
        results = pool.map(partial(run, only=arguments.only), chosen, chunksize=1)
    print(f"\n{'kernel':28} {'mutants':>8} {'killed':>8}")
    for operation, total, killed in results:
        print(f"{operation:28} {total:8} {killed:8}")
    sys.exit(any(killed < total for _, total, killed in results))


if __name__ == "__main__":
    main()
