"""Runs the kernel tests on kernels that are built with sanitizers: addresses and undefined behaviour, then threads.

    python tests/sanitize.py [address|thread ...] [-- pytest arguments]

Works in build/sanitize. Python itself is not instrumented, so the sanitizer's runtime is preloaded. Exits with 1 at the
first finding.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))

from kernel_tree import KernelTree  # noqa: E402

TIMEOUT = 1800.0  # seconds
TESTS = str(ROOT / "tests" / "kernels")
NOT_COMPILED = tuple(f"--ignore={TESTS}/{name}" for name in ("davinci", "test_object_code.py", "test_new_kernel.py"))


def compiler_library(name: str) -> str:
    found = subprocess.run(["c++", f"-print-file-name={name}"], check=True, capture_output=True, text=True)
    return str(Path(found.stdout.strip()).resolve())


def check(kind: str, selection: list[str]) -> bool:
    """Build with the sanitizer, run the tests, print the verdict."""
    sanitizers, library, options = {
        "address": ("address,undefined", "libasan.so", {"ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0"}),
        # A test forks while the pool has threads, which the thread sanitizer refuses unless told otherwise.
        "thread": ("thread", "libtsan.so", {"TSAN_OPTIONS": "halt_on_error=1:die_after_fork=0"}),
    }[kind]
    options["UBSAN_OPTIONS"] = "halt_on_error=1:print_stacktrace=1"
    options["LD_PRELOAD"] = f"{compiler_library(library)} {compiler_library('libstdc++.so')}"
    tree = KernelTree(ROOT / "build" / "sanitize" / kind, {"THOR_SANITIZE": sanitizers})
    tree.create()
    # The thread sanitizer's memory map needs addresses that are not randomised.
    prefix = ("setarch", "-R") if kind == "thread" else ()
    complaint = tree.build() or tree.test(TESTS, *NOT_COMPILED, *selection, timeout=TIMEOUT, prefix=prefix, **options)
    print(complaint[-8000:] if complaint else f"{sanitizers}: clean", flush=True)
    return not complaint


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", nargs="*", help="address, thread; default: both")
    arguments, separator = sys.argv[1:], "--"
    split = arguments.index(separator) if separator in arguments else len(arguments)
    kinds = parser.parse_args(arguments[:split]).kind or ["address", "thread"]
    sys.exit(not all(check(kind, arguments[split + 1 :]) for kind in kinds))


if __name__ == "__main__":
    main()
