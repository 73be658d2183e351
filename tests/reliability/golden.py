"""Losses of the first twenty steps of the smallest run, for every optimizer: numbers that must not move by accident.

    python tests/reliability/golden.py                     # prints what the code gives now, as JSON
    python tests/reliability/golden.py --reason "..."      # and stores it in tests/golden/

A stored loss is a promise to everybody who compares runs. Whoever changes the numerics on purpose stores new ones and
says why; the reason is kept beside the numbers.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from crash import SIZES, Lives
from reliability_harness import folder_in_memory, machine, prepare_in_child

from bert_thor.optimizer.methods import METHODS

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
STEPS = 20
OPTIONS = [
    *SIZES,
    f"--steps={STEPS}",
    "--batch-size=8",
    "--refresh-interval=5",
    "--seed=3",
    f"--checkpoint-interval={STEPS}",
]


def losses(optimizers: tuple[str, ...]) -> dict[str, list[float]]:
    """Loss of every step, by optimizer; as many runs at a time as there are processors."""
    at_once = os.cpu_count() or 1
    with folder_in_memory(Path.cwd()) as folder:
        data = prepare_in_child(folder)
        for first in range(0, len(optimizers), at_once):
            children = [start(folder / name, data) for name in optimizers[first : first + at_once]]
            for lives, child in children:
                lives.end(child)
        return {name: losses_of(folder / name / "run") for name in optimizers}


def start(folder: Path, data: Path) -> tuple[Lives, int]:
    """Start the run of the optimizer that `folder` is called after."""
    folder.mkdir()
    lives = Lives(folder)
    options = [f"--data={data}", f"--run={folder / 'run'}", f"--optimizer={folder.name}", *OPTIONS]
    return lives, lives.start(["pretrain", *options])


def losses_of(run: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]


def store(found: dict[str, list[float]], reason: str) -> None:
    """Write one file per optimizer; files whose numbers do not change keep their reason."""
    GOLDEN.mkdir(exist_ok=True)
    for name, values in found.items():
        path = GOLDEN / f"{name}.json"
        entry = {"reason": reason, "machine": machine(), "options": OPTIONS, "losses": values}
        if not path.exists() or json.loads(path.read_text())["losses"] != values:
            path.write_text(json.dumps(entry, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--optimizer", action="append", choices=list(METHODS), help="only this one; may be repeated")
    parser.add_argument("--reason", help="store the numbers, for this reason")
    arguments = parser.parse_args()
    if arguments.reason is not None and len(arguments.reason.split()) < 3:
        parser.error("golden losses promise that numbers do not move by accident: say in a few words why they move now")
    found = losses(tuple(arguments.optimizer or METHODS))
    if arguments.reason is not None:
        store(found, arguments.reason)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
