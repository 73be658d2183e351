"""Accuracy of checkpoints on held-out or other rows, in the original's words and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops
from typing_extensions import Literal

from bert_thor.compat import use_graph_mode
from bert_thor.data.batches.rows import Rows, evaluation_batches, most_frequent_label
from bert_thor.data.records.schema import Batch
from bert_thor.errors import CheckpointError, ConfigError
from bert_thor.files import write_json
from bert_thor.network.model import BertForPreTraining, dropout_seed, negative_log_likelihood
from bert_thor.network.precision import choose_precision
from bert_thor.network.sizes import BertConfig
from bert_thor.precision import Precision
from bert_thor.training.best import best_step
from bert_thor.training.checkpoint import checkpoint_path, load_checkpoint
from bert_thor.training.parameters import assign, read_count, weights
from bert_thor.training.rows import EvaluationRows, check_vocabulary, open_evaluation_rows, open_rows
from bert_thor.training.run_data import read_run_data, run_vocabulary
from bert_thor.training.run_folder import RunFolder

MLPERF_TRAINING_ROWS = 10_000
"""MLPerf v0.7 evaluates on the first rows of the training set; since v1.0 on documents that are held out."""


@dataclass(frozen=True)
class EvaluateConfig:
    """Evaluation of one checkpoint or of every checkpoint of a run.

    Every row counts, whatever the batch size: the last batch is filled up with rows of weight 0. (The original dropped the remainder of the
    last batch, 9,996 of 10,000 rows in batches of 12.)
    """

    run: Path = Path("run")
    """Folder of the run."""
    data: Optional[Path] = None
    """Data that the run was trained on; by default where it lay then."""
    eval_data: Optional[Path] = None
    """Data to evaluate on; by default the held-out rows of --data."""
    rows: Literal["held-out", "mlperf-v0.7"] = "held-out"
    """held-out: the documents that were kept out of training, as MLPerf since v1.0; mlperf-v0.7: the first 10,000 training rows."""
    checkpoint: Literal["all", "newest", "best"] = "all"
    """Evaluate every checkpoint of the run, the newest, or that of the best evaluation while training (see pretrain --keep-best)."""
    step: Optional[int] = None
    """Evaluate the checkpoint of this step alone."""
    batch_size: int = 64
    """Sequences per forward pass; changes the speed, not the result."""
    device_target: str = "CPU"
    """CPU or Ascend."""
    precision: Optional[Precision] = None
    """Type of activations and products; by default the run's."""


class Predictions(nn.Cell):
    """Predicted tokens and their negative log likelihoods, and predicted sentence labels."""

    def __init__(self, model: BertForPreTraining) -> None:
        super().__init__(auto_prefix=False)
        self.model = model
        self.seed = dropout_seed(0, 0)

    def construct(
        self, ids: Tensor, mask: Tensor, segments: Tensor, positions: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return token predictions [B·P], nll [B·P], sentence predictions [B]."""
        scores, bias, sentence = self.model(ids, mask, segments, positions, self.seed)
        tokens = scores.astype(ms.float32) + bias
        return ops.argmax(tokens, -1), negative_log_likelihood(tokens, labels.reshape(-1)), ops.argmax(sentence, -1)


@dataclass
class Counts:
    """Sums over the evaluation set, in float64."""

    weight: float = 0.0
    correct: float = 0.0
    unigram: float = 0.0
    loss: float = 0.0
    rows: int = 0
    sentence_correct: int = 0

    def add(
        self, batch: Batch, rows: int, predicted: np.ndarray, nll: np.ndarray, sentence: np.ndarray, unigram_token: int
    ) -> None:
        """Add one batch of which the first `rows` rows are real; padding rows have weight 0."""
        labels, weight = batch.masked_lm_ids.reshape(-1), batch.masked_lm_weights.reshape(-1).astype(np.float64)
        self.weight += weight.sum()
        self.correct += weight[predicted == labels].sum()
        self.unigram += weight[labels == unigram_token].sum()
        self.loss += (weight * nll.astype(np.float64)).sum()
        self.rows += rows
        self.sentence_correct += int((sentence == batch.next_sentence_labels)[:rows].sum())

    def report(self, step: int, samples: int) -> dict[str, Any]:
        """The entry of evaluation.json."""
        weight = self.weight or math.nan  # rows without a prediction have no accuracy
        return {
            "step": step,
            "samples": samples,
            "masked_lm_accuracy": float(self.correct / weight),
            "unigram_accuracy": float(self.unigram / weight),
            "next_sentence_accuracy": self.sentence_correct / self.rows,
            "masked_lm_loss": float(self.loss / weight),
        }


class Evaluator:
    """Counts what a network gets right on some rows; the graph is compiled once, for as many parameter values as one likes."""

    def __init__(self, model: BertForPreTraining, rows: Rows, unigram_token: int, batch_size: int) -> None:
        self.model, self.rows, self.unigram_token = model, rows, unigram_token
        self.batch_size = min(batch_size, len(rows))
        self.predictions = Predictions(model)

    def compile(self) -> None:
        """Compile the graph now, instead of when the first batch comes."""
        with self._evaluating():
            batch, _ = next(iter(evaluation_batches(self.rows, self.batch_size)))
            self.predictions.compile(*(Tensor(array) for array in batch[:5]))

    def evaluate(self, step: int, samples: int) -> dict[str, Any]:
        """The report of the network's present parameters."""
        counts = Counts()
        with self._evaluating():
            for batch, rows in evaluation_batches(self.rows, self.batch_size):
                predicted, nll, sentence = self.predictions(*(Tensor(array) for array in batch[:5]))
                counts.add(batch, rows, predicted.asnumpy(), nll.asnumpy(), sentence.asnumpy(), self.unigram_token)
        return counts.report(step, samples)

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Within, the network does not train."""
        training = self.model.training
        self.model.set_train(False)
        try:
            yield
        finally:
            self.model.set_train(training)


def accuracy_line(report: dict[str, Any]) -> str:
    """The original's line for one evaluated checkpoint."""
    return f"step:  {report['step']} Accuracy:  {np.array([report['masked_lm_accuracy']], np.float32)}"


def mlperf_rows(data: Path, model: BertConfig) -> EvaluationRows:
    """What MLPerf v0.7 evaluates on: the first 10,000 training rows, in file order."""
    return EvaluationRows(open_rows(data, "train", model, first=MLPERF_TRAINING_ROWS), "mlperf-v0.7")


def evaluate(config: EvaluateConfig) -> list[dict[str, Any]]:
    """Evaluate, print the original's line for each checkpoint, and put the reports into the run's evaluation.json.

    Reports of other rows, and of other steps, stay there. Returns the new ones.
    """
    folder = RunFolder(config.run)
    sizes = folder.read_model()
    precision = choose_precision(config.precision or folder.read_precision(), config.device_target).precision
    steps = _chosen(folder, config)
    chosen, unigram_token = _rows(config, sizes)
    use_graph_mode(config.device_target)
    evaluator = Evaluator(BertForPreTraining(sizes, precision=precision), chosen.rows, unigram_token, config.batch_size)
    reports = []
    for step in steps:
        path = checkpoint_path(folder.checkpoints, step)
        checkpoint = load_checkpoint(path)
        assign(weights(evaluator.model), checkpoint.model, path)
        samples = read_count(checkpoint.state, "samples", path)
        reports.append({**evaluator.evaluate(step, samples), **chosen.facts()})
        print(accuracy_line(reports[-1]), flush=True)
    new = {_key(report) for report in reports}
    earlier = [report for report in folder.read_evaluations() if _key(report) not in new]
    write_json(folder.evaluation, [*earlier, *reports])
    return reports


def _chosen(folder: RunFolder, config: EvaluateConfig) -> list[int]:
    available, step = folder.steps(), config.step
    if not available:
        raise CheckpointError(f"{folder.checkpoints} holds no checkpoint: train first, or give another --run")
    if step is None and config.checkpoint == "best":
        return [best_step(folder)]
    if step is None:
        return available if config.checkpoint == "all" else available[-1:]
    if config.checkpoint != "all":
        raise ConfigError(f"step {step} and checkpoint {config.checkpoint} are two choices: give one of them")
    folder.check_step(step)
    return [step]


def _rows(config: EvaluateConfig, sizes: BertConfig) -> tuple[EvaluationRows, int]:
    """The rows, and the most frequent token of the training labels (of these rows', where the training data is not known)."""
    run, vocabulary = read_run_data(config.run), run_vocabulary(config.run)
    data = config.data or (Path(run.data) if run.data is not None else None)
    if data is None and config.eval_data is None:
        raise ConfigError(f"{config.run} does not say what it was trained on: give the data as --data or --eval-data")
    for path in (data, config.eval_data):
        if path is not None and path.exists():
            check_vocabulary(path, vocabulary)
    if config.rows == "mlperf-v0.7" and data is not None:
        chosen = mlperf_rows(data, sizes)
    else:
        chosen = open_evaluation_rows(data or Path(), config.eval_data, sizes, run)
    known = data is not None and (config.eval_data is None or data.exists())
    training = open_rows(data, "train", sizes) if known and data is not None else chosen.rows
    return chosen, most_frequent_label(training)


def _key(report: dict[str, Any]) -> tuple[Any, ...]:
    """Reports of the same step and rows replace each other."""
    return tuple(str(report.get(name)) for name in ("step", "rows", "row_count", "data_sha256"))


def summary(report: dict[str, Any]) -> str:
    """One sentence on a report, which says what rows it is about."""
    accuracy, unigram = report["masked_lm_accuracy"], report["unigram_accuracy"]
    ratio = f", ratio {accuracy / unigram:.2f}" if unigram > 0 else ""
    return (
        f"{report['rows']} masked-LM accuracy {accuracy:.4f}, "
        f"unigram baseline {unigram:.4f} (always the most frequent token){ratio}"
    )
