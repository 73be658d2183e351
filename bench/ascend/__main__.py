"""The kernels for Ascend 910 over the shapes of BERT-Large in the simulator kernels/davinci: cycles, limits, MindSpore's own.

    python -m bench.ascend                  # what bench/results/ascend.json lacks for the kernels as they are now
    python -m bench.ascend --only layer_norm
    python -m bench.ascend --draw           # the stored results, drawn again

Writes bench/results/ascend.json and ascend.png and prints the table of targets. Nothing here ran on a device. A limit is what
the problem itself needs: every tensor once through global memory at 1.2 TB/s, every input once at 32 bytes per cycle and core,
or its multiplications on the cube.
`worst` is the slowest of one run per uncertain constant at the costlier end of its range, `all` has all of them there at once.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from bench.ascend.cases import KERNELS, cases
from bench.ascend.results import COLUMNS, Row, found, measure
from bench.targets import ASCEND, table
from bert_thor.kernels import davinci

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "results" / "ascend.json"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.ascend", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="only operations whose name contains this; nothing is written then")
    parser.add_argument("--draw", action="store_true", help="run nothing, draw the stored results again")
    options = parser.parse_args()
    if not options.draw:
        run(options.only)
    if not options.only:
        from bench.ascend.plot import plot

        plot(stored(), RESULTS.with_suffix(".png"))


def run(only: str) -> None:
    """Every problem whose name contains `only`; without a name those that the stored result lacks, which are added to it."""
    sources = digest()
    rows = {} if only else stored(sources)
    for case in cases():
        if only in case.operation and case.name not in rows:
            rows[case.name] = measure(case)
            print(rows[case.name].line(), flush=True)
            if not only:
                write(rows, sources)
    print(table(ASCEND, found(rows), COLUMNS))


def digest() -> str:
    """Of what decides the rows: the problems, the TIK kernels with all that they import, the simulator and its constants."""
    kernels = sorted(KERNELS.glob("*/tbe.py"))
    for kernel in kernels:
        davinci.load(str(kernel))
    modules = [module for name, module in sorted(sys.modules.items()) if name.startswith("bert_thor.kernels.")]
    imported = [Path(str(module.__file__)) for module in modules if Path(str(module.__file__)) not in kernels]
    paths = [*kernels, *imported, KERNELS / "davinci" / "machine.json", HERE / "cases.py", HERE / "results.py"]
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def stored(sources: str = "") -> dict[str, Row]:
    """The rows of an earlier run; with `sources` only if it was made with the same ones."""
    document = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    wanted = not sources or document.get("sources") == sources
    rows = [Row(**row) for row in document.get("rows", [])] if wanted else []
    return {row.name: row for row in rows}


def write(rows: Mapping[str, Row], sources: str) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    document = {
        "chip": "Ascend910A, 32 cores at 1 GHz, simulated by kernels/davinci; no device was used",
        "sources": sources,
        "rows": [asdict(row) for row in rows.values()],
    }
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
