"""Proves the Triton kernels for Atlas A2 and A3 and prints one table; exit status 1 where something does not hold.

prove.py [--record] [--interpret] [OPERATION ...]

Every problem is compiled, executed with poisoned memories and compared with its answer in float64; the representative ones for
every target, with every flag, barrier and buffer of the compiled text as a mutant. `--interpret` runs all of them in Triton's
interpreter instead. `--record` stores the counts that the default suite holds the README to.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from problem import ROUNDING, Launch, Problem
from problems import large, representative, shapes

from bert_thor.kernels import atlas
from bert_thor.kernels.atlas.interpret import interpret
from bert_thor.kernels.atlas.targets import DEFAULT_TARGET, target

TARGETS = (DEFAULT_TARGET, "Ascend910B4", "Ascend910_9392")
REPEAT = 2.0  # cycles of a repeat with two operands
COUNTS = Path(__file__).with_name("counts.json")
HEADER = (
    f"{'kernel':28s} {'dtype':9s} {'shape':22s} {'target':15s} {'error':>7s} {'hazards':>7s} {'mutants':>9s} "
    f"{'cycles':>9s} {'of limit':>8s} {'seconds':>7s}"
)


@dataclass
class Outcome:
    """Of a problem on a target."""

    error: float
    hazards: int
    wrong: list[str]
    caught: int
    tried: int
    silent: list[str]
    unreached: list[str]
    cycles: float
    limit: float
    repeats: int
    instructions: int

    @property
    def holds(self) -> bool:
        """Whether everything that must hold does."""
        return self.error <= 1 and self.hazards == 0 and not self.wrong


def execute(problem: Problem, chip: str, with_mutants: bool) -> Outcome:
    """Compiles and runs all launches of a problem; `error` is the largest share of a bound."""
    outcome = Outcome(0.0, 0, [], 0, 0, [], [], 0.0, 0.0, 0, 0)
    cores = "aiv"
    for launch in problem.launches:
        kernel = atlas.load(launch.path)
        program = atlas.Program(kernel, atlas.compile_kernel(kernel, launch.arguments, launch.constants, chip))
        cores = "aic" if program.core == "aic" else cores
        before = _saved(launch)
        result = program.run(launch.grid, *launch.arguments)
        outcome.wrong += [str(hazard) for hazard in result.hazards]
        outcome.hazards += sum(hazard.times for hazard in result.hazards)
        outcome.cycles += result.cycles
        outcome.repeats += result.count.repeats
        outcome.instructions += sum(result.count.instructions.values())
        if with_mutants:
            _try_mutants(program, launch, before, result.reached, outcome)
    outcome.error = max(check.error() for check in problem.checks) if problem.checks else 0.0
    outcome.wrong += [sentence for sentence, holds in problem.exact if not holds()]
    outcome.limit = _limit_cycles(problem, chip) / outcome.cycles
    return outcome


def _limit_cycles(problem: Problem, chip: str) -> float:
    """Cycles that are needed at least: bytes over the chip's memory, steps and repeats over the cores that have a program."""
    limits, (moved, steps, repeats) = target(chip), problem.limit
    programs = max(math.prod(launch.grid) for launch in problem.launches)
    cube, vector = min(programs, limits.cube_cores), min(programs, limits.vector_cores)
    return max(moved / limits.bytes_per_cycle, steps / cube, REPEAT * repeats / vector)


def _saved(launch: Launch) -> list[np.ndarray]:
    return [argument.copy() for argument in launch.arguments if isinstance(argument, np.ndarray)]


def _restore(launch: Launch, saved: list[np.ndarray]) -> None:
    arrays = [argument for argument in launch.arguments if isinstance(argument, np.ndarray)]
    for array, content in zip(arrays, saved):
        array[...] = content


def _try_mutants(
    program: atlas.Program, launch: Launch, before: list[np.ndarray], reached: frozenset[int], outcome: Outcome
) -> None:
    """A mutant is caught by a hazard or by any bit of the result; one that the launch does not reach is not tried."""
    right = _saved(launch)
    for mutant in atlas.mutants(program.rewritten):
        if not mutant.matters(reached):
            outcome.unreached.append(f"{launch.place}: {mutant.name}")
            continue
        _restore(launch, before)
        hazards = program.run(launch.grid, *launch.arguments, mutant=mutant).hazards
        same = all((a.view(np.uint8) == b.view(np.uint8)).all() for a, b in zip(_saved(launch), right))
        outcome.tried += 1
        outcome.caught += bool(hazards) or not same
        if not hazards and same:
            outcome.silent.append(f"{launch.place}: {mutant.name}")
    _restore(launch, right)


def in_interpreter(problem: Problem) -> Outcome:
    """The same launches in Triton's interpreter."""
    for launch in problem.launches:
        interpret(atlas.load(launch.path), launch.grid, launch.arguments, launch.constants)
    wrong = [sentence for sentence, holds in problem.exact if not holds()]
    error = max((check.error() for check in problem.checks), default=0.0)
    return Outcome(error, 0, wrong, 0, 0, [], [], 0.0, 0.0, 0, 0)


def cases(interpreted: bool) -> Iterator[tuple[Callable[[], Problem], str, bool]]:
    """(problem, target, with mutants)."""
    for make in representative():
        for chip in TARGETS if not interpreted else TARGETS[:1]:
            yield make, chip, chip == DEFAULT_TARGET
    for make in shapes():
        yield make, DEFAULT_TARGET, False
    for make in large() if not interpreted else ():
        yield make, DEFAULT_TARGET, False


def main() -> int:
    """Prints the table; the result is the exit status."""
    arguments = sys.argv[1:]
    operations = [a for a in arguments if not a.startswith("--")]
    interpreted, failures, counts = "--interpret" in arguments, 0, {}
    silent: list[str] = []
    unreached: list[str] = []
    if interpreted:
        ROUNDING["bfloat16"] *= 2  # Triton's interpreter cuts bfloat16 off instead of rounding it
    print(HEADER)
    for make, chip, with_mutants in cases(interpreted):
        problem, start = make(), time.time()
        if operations and problem.operation not in operations:
            continue
        if interpreted and (problem.operation, problem.dtype) == ("fisher_covariance", "bfloat16"):
            print(
                f"{problem.operation:28s} {problem.dtype:9s} {problem.shape:22s} the interpreter multiplies bit patterns here"
            )
            continue
        outcome = in_interpreter(problem) if interpreted else execute(problem, chip, with_mutants)
        print(_line(problem, "interpreter" if interpreted else chip, outcome, time.time() - start), flush=True)
        for sentence in outcome.wrong[:6]:
            print(f"    {sentence}")
        failures += not outcome.holds
        silent += outcome.silent
        unreached += outcome.unreached
        if not interpreted and chip == DEFAULT_TARGET:
            counts[f"{problem.operation}, {problem.dtype}, {problem.shape}"] = _count(outcome)
    _show_silent(silent, unreached)
    if "--record" in arguments:
        kept = json.loads(COUNTS.read_text()) if operations else {}  # of a part: the others stay
        COUNTS.write_text(json.dumps({**kept, **counts}, indent=1) + "\n")
    elif not operations and not interpreted:
        failures += _compare(counts)
    print(f"\n{failures} failures")
    return int(failures > 0)


def _show_silent(silent: list[str], unreached: list[str]) -> None:
    """What was not caught, and why it is harmless in these launches; what they do not reach."""
    moved = [name for name in silent if ": buffer " in name]
    last = [name for name in silent if "no barrier ALL" in name]
    others = [name for name in silent if name not in {*moved, *last}]
    for names, reason in (
        (last, "not caught: the barrier at the end, which nothing follows"),
        (
            others,
            "not caught: flags and barriers without which every two conflicting accesses are still ordered by others",
        ),
        (moved, "not caught: buffers laid over one that is dead by then or holds the same"),
        (unreached, "not tried: flags and barriers in branches that these shapes do not take"),
    ):
        if names:
            print(f"\n{len(names)} {reason}")
            print("\n".join(f"    {name}" for name in names))


def _count(outcome: Outcome) -> dict[str, float]:
    return {
        "cycles": round(outcome.cycles),
        "repeats": outcome.repeats,
        "instructions": outcome.instructions,
        "mutants": outcome.tried,
        "caught": outcome.caught,
        "error": round(outcome.error, 3),
        "percent": round(100 * outcome.limit, 1),
    }


def _compare(counts: dict[str, dict[str, float]]) -> int:
    """Counts move only on purpose."""
    recorded = json.loads(COUNTS.read_text())
    moved = [name for name in {**recorded, **counts} if recorded.get(name) != counts.get(name)]
    for name in moved:
        print(
            f"count moved: {name}: {recorded.get(name)} is recorded, {counts.get(name)} found (prove.py --record stores it)"
        )
    return len(moved)


def _line(problem: Problem, chip: str, outcome: Outcome, seconds: float) -> str:
    mutants = f"{outcome.caught}/{outcome.tried}" if outcome.tried else "-"
    return (
        f"{problem.operation:28s} {problem.dtype:9s} {problem.shape:22s} {chip:15s} {outcome.error:7.3f} {outcome.hazards:7d} "
        f"{mutants:>9s} {outcome.cycles:9,.0f} {100 * outcome.limit:6.1f} % {seconds:7.1f}"
    )


if __name__ == "__main__":
    sys.exit(main())
