"""Do the tests notice? Builds every mutant of the kernels, runs that kernel's tests on it and prints who survived.

    python tests/mutants/run.py [operation ...]

Works on a copy in build/mutants. Exits with 1 if a mutant survives, does not compile or does not
apply.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))

from kernel_tree import KernelTree  # noqa: E402

TIMEOUT = 300.0  # seconds; a mutant that hangs is killed
Mutant = tuple[str, str, str, str]  # file, original text, what replaces its first occurrence, what that breaks


def verdict_of(tree: KernelTree, operation: str, mutant: Mutant) -> str:
    """Build the mutant, test it, and put the original back."""
    file, before, after, _ = mutant
    path = tree.folder / file
    original = path.read_text()
    if before not in original:
        return "does not apply"
    path.write_text(original.replace(before, after, 1))
    try:
        if tree.build():
            return "does not compile"
        return "killed" if tree.test(tests_of(operation), timeout=TIMEOUT) else "SURVIVED"
    finally:
        path.write_text(original)


def tests_of(operation: str) -> str:
    return str(ROOT / "tests" / "kernels" / operation)


def operations() -> list[str]:
    here = Path(__file__).parent
    return sorted(path.stem for path in here.glob("*.py") if path.stem != "run")


def run(tree: KernelTree, operation: str) -> bool:
    """Print the table of one operation; true if every mutant was killed."""
    mutants: list[Mutant] = importlib.import_module(operation).MUTANTS
    complaint = tree.build() or tree.test(tests_of(operation), timeout=TIMEOUT)
    if complaint:
        print(f"{operation}: the unchanged kernel does not build or pass its tests; mend it first.\n{complaint}")
        return False
    killed = 0
    for mutant in mutants:
        verdict = verdict_of(tree, operation, mutant)
        killed += verdict == "killed"
        print(f"{operation:28} {mutant[3]:60} {verdict}", flush=True)
    print(f"{operation}: {killed} of {len(mutants)} killed", flush=True)
    return killed == len(mutants)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("operation", nargs="*", help=f"default: all of {', '.join(operations())}")
    chosen = parser.parse_args().operation or operations()
    unknown = sorted(set(chosen) - set(operations()))
    if unknown:
        parser.error(f"no mutants for {', '.join(unknown)}; there are some for {', '.join(operations())}")
    tree = KernelTree(ROOT / "build" / "mutants", {"CMAKE_CXX_FLAGS_RELEASE": "-O1 -DNDEBUG"})
    tree.create()
    sys.exit(not all([run(tree, operation) for operation in chosen]))


if __name__ == "__main__":
    main()
