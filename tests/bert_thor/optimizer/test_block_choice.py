"""`--block auto`: the information score is that of the eigenvalues, the crossing that of the two scores."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bert_thor.cli import main
from bert_thor.optimizer.block_choice import Score, crossing, cut, describe, kept_share, largest_eigenvalue


def covariance(size: int, coupling: float) -> np.ndarray:
    """One on the diagonal, `coupling` next to it: whole and cut, its largest eigenvalues are known."""
    return np.eye(size) + coupling * (np.eye(size, k=1) + np.eye(size, k=-1))


def test_largest_eigenvalue() -> None:
    r = np.random.default_rng(1)
    x = r.standard_normal((200, 24)) + 2.0
    matrix = x.T @ x / 200
    assert abs(largest_eigenvalue(matrix[None]) / np.linalg.eigvalsh(matrix)[-1] - 1) <= 1e-6
    blocks = cut(matrix, 8)
    assert abs(largest_eigenvalue(blocks) / max(np.linalg.eigvalsh(block)[-1] for block in blocks) - 1) <= 1e-6


def test_cut_pads_the_last_block() -> None:
    matrix = np.arange(25.0).reshape(5, 5)
    blocks = cut(matrix, 2)
    assert blocks.shape == (3, 2, 2)
    assert (blocks[1] == matrix[2:4, 2:4]).all() and blocks[2, 0, 0] == 24 and (blocks[2].ravel()[1:] == 0).all()
    assert (cut(matrix, 8) == matrix[None]).all()


def test_information_score_counts_factors_that_keep_99_percent() -> None:
    """Of a chain of 4, λmax = 1 + 2c cos(π/5); cut into pairs it is 1 + c."""
    for coupling, kept in ((0.01, True), (0.3, False)):
        lost = 1 - (1 + coupling) / (1 + 2 * coupling * np.cos(np.pi / 5))
        assert (lost < 0.01) == kept
        assert kept_share([covariance(4, coupling)[None]], 2) == float(kept)
    both = [np.stack([covariance(4, 0.01), covariance(4, 0.3)])]
    assert kept_share(both, 2) == 0.5 and kept_share(both, 4) == 1.0


@pytest.mark.parametrize(
    ("kept", "seconds", "chosen"),
    [
        ((0.0, 0.2, 0.4, 0.9, 1.0), (1.0, 1.0, 1.25, 2.0, 10.0), 64),  # crosses between 32 and 64, nearer to 64
        ((0.0, 0.2, 0.79, 0.9, 1.0), (1.0, 1.0, 1.25, 10.0, 20.0), 32),  # just before 32 is reached
        ((1.0, 1.0, 1.0, 1.0, 1.0), (1.0, 2.0, 3.0, 4.0, 5.0), 1),  # nothing is lost at all
        ((0.0, 0.0, 0.0, 0.0, 0.1), (1.0, 1.0, 1.0, 1.0, 1.0), 128),  # nothing is gained at all
    ],
)
def test_crossing(kept: tuple[float, ...], seconds: tuple[float, ...], chosen: int) -> None:
    scores = [Score(n, share, time) for n, share, time in zip((1, 16, 32, 64, 128), kept, seconds)]
    assert crossing(scores) == chosen
    assert next(line for line in describe(scores, chosen).splitlines() if line.endswith("chosen")).split()[0] == str(
        chosen
    )


@pytest.mark.parametrize("row_weights", ["none", pytest.param("gradient", marks=pytest.mark.long)])
def test_a_run_with_block_auto(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], row_weights: str
) -> None:
    run = tmp_path / "run"
    names = ("vocab-size", "max-position", "hidden-size", "num-heads", "num-layers", "intermediate-size")
    sizes = [text for name, value in zip(names, (100, 32, 24, 2, 1, 40)) for text in (f"--{name}", str(value))]
    arguments = ["pretrain", "--data", str(prepared), "--run", str(run), "--steps", "2", "--batch-size", "8", *sizes]
    arguments += ["--row-weights", row_weights]
    assert main([*arguments, "--block", "auto"]) == 0
    printed = capsys.readouterr().out
    chosen = [line for line in printed.splitlines() if line.endswith("chosen")]
    assert len(chosen) == 1
    stored = json.loads((run / "config.json").read_text())
    assert stored["optimizer.block"] == int(chosen[0].split()[0]) and stored["optimizer.row_weights"] == row_weights
    assert main([*arguments, "--block", "auto", "--resume"]) == 0  # takes the run's own
    assert "chosen" not in capsys.readouterr().out
