"""Evaluations while a run trains: when, on what rows, and whether they say that it may end."""

from __future__ import annotations

from typing import Any, Optional

from bert_thor.data.batches.rows import Rows, most_frequent_label
from bert_thor.network.model import BertForPreTraining
from bert_thor.recipes import PretrainConfig
from bert_thor.training.evaluation import Evaluator
from bert_thor.training.rows import EvaluationRows, check_vocabulary, open_evaluation_rows
from bert_thor.training.run_data import read_run_data, run_vocabulary
from bert_thor.training.run_folder import RunFolder


class Evaluations:
    """The evaluations of one run; rows and graph are made when the first one is due."""

    def __init__(
        self, config: PretrainConfig, folder: RunFolder, model: BertForPreTraining, training_rows: Rows
    ) -> None:
        self.config, self.folder, self.model, self.training_rows = config, folder, model, training_rows
        self._rows: Optional[EvaluationRows] = None
        self._evaluator: Optional[Evaluator] = None

    def prepare(self) -> bool:
        """Open the rows and compile the graph, so that it is no evaluation's time; false where that was done before."""
        if self._evaluator is not None:
            return False
        label = most_frequent_label(self.training_rows)
        self._evaluator = Evaluator(self.model, self.rows().rows, label, self.config.batch_size)
        self._evaluator.compile()
        return True

    def evaluate(self, step: int, samples: int) -> dict[str, Any]:
        """The report of the network's present weights, and of what rows it is; `prepare` came before."""
        assert self._evaluator is not None
        return {**self._evaluator.evaluate(step, samples), **self.rows().facts()}

    def rows(self) -> EvaluationRows:
        """What it is evaluated on. Errors: `ConfigError` where the vocabulary is another one, `DataError`."""
        if self._rows is None:
            config, run = self.config, read_run_data(self.folder.path)
            check_vocabulary(config.eval_data or config.data, run_vocabulary(self.folder.path))
            self._rows = open_evaluation_rows(
                config.data, config.eval_data, config.model, run, config.evaluation_rows, config.schema
            )
        return self._rows
