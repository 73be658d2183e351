"""The wheel does the whole job where there is no compiler: built from the tracked files, installed into a new environment, used from
another folder.

    python tests/wheel/run.py FOLDER

Makes FOLDER anew. `bert-thor doctor`, `prepare`, 20 steps of `pretrain`, `evaluate` and `convert` run with nothing on PATH but the
environment's own programs, and every result is looked at. Exits with 1 at the first that is not as it should be.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))

from synthetic_data import synthetic_text  # noqa: E402

STEPS = 20
COMPILERS = ("c++", "cc", "g++", "gcc", "clang", "clang++")
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check")


def run(*command: str | Path, cwd: Path, environment: Mapping[str, str] | None = None) -> str:
    """Standard output of a command that has to succeed."""
    print("+", *command, flush=True)
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{done.stdout}{done.stderr}\nerror: status {done.returncode} from {' '.join(words)}")
    return done.stdout


def tracked_copy(target: Path) -> None:
    """What a clone has, with the changes of the working tree: no compiled kernel, no file that git does not know."""
    for name in run("git", "ls-files", "-z", cwd=ROOT).split("\0"):
        if name and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def build(folder: Path) -> Path:
    """The wheel of the tracked files."""
    tracked_copy(folder / "source")
    run(sys.executable, *PIP, "wheel", "--no-deps", "--wheel-dir", folder, ".", cwd=folder / "source")
    (wheel,) = folder.glob("bert_thor-*.whl")
    shutil.rmtree(folder / "source")
    return wheel


def install(wheel: Path, environment: Path) -> dict[str, str]:
    """Install it and what it needs, all compiled already; returns the variables of a machine without a compiler."""
    venv.create(environment, with_pip=True, symlinks=True)
    constraints = ("-c", ROOT / "constraints.txt")
    python = environment / "bin" / "python"
    run(python, *PIP, "install", "--only-binary", ":all:", *constraints, wheel, cwd=environment)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV", "CXX"))}
    variables = {**kept, "PATH": str(environment / "bin")}
    found = [name for name in COMPILERS if shutil.which(name, path=variables["PATH"])]
    assert not found, f"{found} would be found"
    return variables


def use(work: Path, variables: Mapping[str, str]) -> None:
    """Every command, one after another, each with its result."""

    def bert_thor(*arguments: str) -> str:
        return run(Path(variables["PATH"]) / "bert-thor", *arguments, cwd=work, environment=variables)

    (work / "text.txt").write_text(synthetic_text(120, seed=7), encoding="utf-8")
    version = bert_thor("--version")
    report = bert_thor("doctor")
    assert version.split()[1] in report and str(ROOT / "kernels") not in report, report
    bert_thor("prepare", "--source", "text.txt", "--output", "data", "--vocab-size", "100", "--max-seq-length", "32")
    assert (work / "data" / "manifest.json").is_file()
    bert_thor("pretrain", "--data", "data", "--run", "run", "--steps", str(STEPS), "--batch-size", "8")
    losses = [json.loads(line)["loss"] for line in (work / "run" / "metrics.jsonl").read_text().splitlines()]
    assert len(losses) == STEPS and all(map(math.isfinite, losses)), losses
    assert "held-out" in bert_thor("evaluate", "--run", "run")
    accuracy = json.loads((work / "run" / "evaluation.json").read_text())[-1]["masked_lm_accuracy"]
    assert 0 <= accuracy <= 1, accuracy
    bert_thor("convert", "--from", "run", "--to", "model")
    assert {"config.json", "model.safetensors", "vocab.txt", "tokenizer.json"} <= set(os.listdir(work / "model"))
    bert_thor("convert", "--from", "model", "--to", "again")
    assert "masked-LM accuracy" in bert_thor("evaluate", "--run", "again", "--data", "data")


def main() -> None:
    """Build, install, use."""
    folder = Path(sys.argv[1]).absolute()
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "elsewhere").mkdir(parents=True)
    wheel = build(folder)
    use(folder / "elsewhere", install(wheel, folder / "environment"))
    print(f"{wheel.name} ({wheel.stat().st_size / 1e6:.1f} MB): every command did its work", flush=True)


if __name__ == "__main__":
    main()
