"""The pretraining loop: data, steps, log lines, metrics, checkpoints, resume."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Callable, Optional

from mindspore import Tensor

from bert_thor import __version__
from bert_thor.compat import use_graph_mode, version
from bert_thor.data.batches.rows import TrainingBatches
from bert_thor.data.records.schema import Batch
from bert_thor.errors import CheckpointError, ConfigError, Interrupted, TrainingError
from bert_thor.network.model import BertForPreTraining, PretrainingLoss
from bert_thor.network.precision import choose_precision
from bert_thor.optimizer import StepResult, Thor
from bert_thor.optimizer.loss_scale import scale_for
from bert_thor.parallel.agreement import Agreement
from bert_thor.parallel.precision import exchange_precision
from bert_thor.parallel.watch import RankWatch
from bert_thor.parallel.world import World, join_world, launched_ranks
from bert_thor.precision import Precision
from bert_thor.recipes import PretrainConfig
from bert_thor.training.checkpoint import (
    Checkpoint,
    checkpoint_path,
    load_checkpoint,
    newest_checkpoint,
    save_checkpoint,
)
from bert_thor.training.compile_cache import cache_key, cached_graphs
from bert_thor.training.evaluations import Evaluations
from bert_thor.training.inputs import groups_of, inputs_and_labels
from bert_thor.training.measured_block import with_measured_block, with_stored_block
from bert_thor.training.pace import crossed
from bert_thor.training.parameters import arrays, assign, weights
from bert_thor.training.progress import Progress, read_progress
from bert_thor.training.record import Record
from bert_thor.training.rows import check_vocabulary, open_rows, sizes_beside_data
from bert_thor.training.run_data import continued, describe_data, read_run_data, run_vocabulary, vocabulary_of
from bert_thor.training.run_folder import RunFolder
from bert_thor.training.stop_signals import StopSignals
from bert_thor.training.tensorboard import check_tensorboard
from bert_thor.training.trained import Trained, read_trained

MAX_SKIPPED = 10
"""Steps in a row whose loss or gradient is not finite, though the loss scale cannot be lowered, before the run stops."""


class Trainer:
    """One run: `Trainer(config).run()`."""

    def __init__(self, config: PretrainConfig, read_start: Callable[[Path], Trained] = read_trained) -> None:
        """`read_start` reads what `config.start` names."""
        config.check()
        if config.tensorboard:
            check_tensorboard()
        self.folder = RunFolder(config.run)
        config, precision, self.reason = settled(config, self.folder)
        check_micro_batches(config, launched_ranks())
        self.rows = open_rows(config.data, "train", config.model, config.schema, skip_damaged=config.skip_damaged)
        if config.optimizer.block == "auto":
            config = with_measured_block(config, self.rows)
        self.config = config
        self._batches(0, World(0, launched_ranks()), ahead=0).close()  # refuses what data or ranks cannot fill
        self.folder.check(config)
        self.read_start = read_start
        scaled = config.optimizer.loss_scale != 1.0
        summed_in = exchange_precision(config.exchange_precision, scaled, config.device_target)
        use_graph_mode(config.device_target)
        self.world = join_world()
        self.agreement = Agreement(self.world)
        self.watch = RankWatch(self.folder.ranks, self.world)
        self.watch.start(self.agreement.wait)
        self.model = BertForPreTraining(config.model, config.seed, precision)
        self.thor = Thor(
            self.model,
            PretrainingLoss(self.world.ranks, config.accumulate),
            config.steps,
            config=config.optimizer,
            groups=groups_of(config.model),
            strict=True,
            world=self.world,
            accumulate=config.accumulate,
            exchange_precision=summed_in,
            failures=config.run,
        )
        self.progress = Progress()
        self._evaluations = Evaluations(config, self.folder, self.model, self.rows)
        self._stops_early = False
        self._stop_signals = StopSignals()

    def run(self) -> Progress:
        """Train to `config.steps`. On a signal or a failure outside a step the state is saved first, then raised."""
        try:
            self._say(f"precision {self.config.precision}: {self.reason}")
            self._say(sizes_beside_data(self.config.model, self.rows.folder))
            with self.watch, self._stop_signals:
                if self.world.writes:
                    self.folder.claim(self.config)
                self._describe(self._begin())
                self.agreement.check(weights(self.model), self.progress.step)
                if self.world.writes:
                    self.folder.truncate(self.progress.step)
                    self._say(self.thor.describe(self.config.device_target))
                with closing(self._batches(self.progress.samples, self.world, self.config.prefetch)) as batches:
                    self._loop(batches)
        finally:
            self.folder.unlock()
        return self.progress

    def _loop(self, batches: TrainingBatches) -> None:
        config, progress = self.config, self.progress
        self._stops_early = 0 < config.early_stop <= progress.best.evaluations_since
        if not self._is_finished():
            with Record(config, self.folder, self.thor, progress, self.world.writes) as record:
                self._compile()
                while not self._is_finished():
                    self._step(batches, record)
                    if progress.step % config.checksum_interval == 0:
                        self.agreement.check(weights(self.model), progress.step)
                    # before the checkpoint: a run that goes on from it will not do it again
                    is_best = self._evaluates_now() and self._evaluate(record)
                    if progress.step % config.checkpoint_interval == 0 or is_best or self._is_finished():
                        record.flush()
                        self.save()
                        record.pace.other("checkpoint")
                    self._stop_if_asked()
        self._say_what_ended()

    def _is_finished(self) -> bool:
        return self._stops_early or self.progress.step >= self.config.steps

    def _step(self, batches: TrainingBatches, record: Record) -> None:
        """One step and its record."""
        with self._saved_on_failure():
            batch = next(batches)
        result = self._one_step(batch)
        with self._saved_on_failure():
            record.step(result, self.rows.skipped)
            if self.logs_at(self.progress.step):
                record.line(self.epoch(), result)
            self._report_loss_scale(result)
        self._stop_if_not_finite()

    def _say_what_ended(self) -> None:
        config, progress, best = self.config, self.progress, self.progress.best
        if self.rows.skipped:
            _warn(
                f"rank {self.world.rank} met damaged rows {self.rows.skipped} times and read the next sound ones in their places"
            )
        if self._stops_early:
            self._say(
                f"stopped early after step {progress.step}/{config.steps}: {best.evaluations_since} evaluations in a row were not "
                "better than the best one; to go on, resume with a larger --early-stop, or with 0"
            )
        if config.keep_best and best.accuracy is not None:
            self._say(
                f"best evaluation: masked-LM accuracy {best.accuracy:.4f} at step {best.step}; "
                "evaluate and convert take its checkpoint with --checkpoint best"
            )

    def _compile(self) -> None:
        """Say that compiling takes time, and with a compile cache do it now, from the cache if it can."""
        if self.config.compile_cache is None:
            self._say("compiling the graphs of the training step: the first steps take longer")
            return
        with self._saved_on_failure():
            batch = next(self._batches(self.progress.samples, self.world, ahead=0))
        key, started = cache_key(self.config, self.world), perf_counter()
        with cached_graphs(self.config.compile_cache, key) as found:
            source = "loading" if found else "compiling"
            self._say(f"{source} the graphs of the training step, kept in {self.config.compile_cache / key}")
            self.thor.compile_steps(*self._inputs(batch))
        self._say(f"all graphs are ready after {perf_counter() - started:.1f} s")

    def logs_at(self, step: int) -> bool:
        """Whether a log line follows step `step` (from 1)."""
        return step % self.config.log_interval == 0 or step in (1, self.config.steps)

    def epoch(self) -> int:
        """The pass over the data, from 1, in which the last step was."""
        return 1 + (self.progress.samples - 1) // len(self.rows)

    def _evaluates_now(self) -> bool:
        """Whether the last step passed a multiple of `evaluation_interval` samples."""
        samples = self.progress.samples
        return crossed(samples - self.config.batch_size, samples, self.config.evaluation_interval) > 0

    def _evaluate(self, record: Record) -> bool:
        """Rank 0 evaluates, the others wait, and all know whether the run ends; true where the checkpoint is to be kept."""
        config, progress, kept = self.config, self.progress, False
        if self.world.writes:
            if self._evaluations.prepare():
                record.pace.other("compilation")
            report = self._evaluations.evaluate(progress.step, progress.samples)
            progress.best = progress.best.after(report)
            is_best = progress.best.step == progress.step
            record.evaluation(report, is_best)
            record.pace.other("evaluation")
            kept = is_best and config.keep_best
        if config.early_stop:
            self._stops_early = self.agreement.told_by_first(progress.best.evaluations_since >= config.early_stop)
        return kept

    def _batches(self, position: int, world: World, ahead: int) -> TrainingBatches:
        """This rank's slices of the global batches from global row `position` on."""
        config, rank, ranks = self.config, world.rank, world.ranks
        return TrainingBatches(
            self.rows,
            config.batch_size,
            config.seed,
            position=position,
            rank=rank,
            ranks=ranks,
            shuffle=config.shuffle,
            ahead=ahead,
        )

    @contextmanager
    def _saved_on_failure(self) -> Iterator[None]:
        """Between steps the parameters are whole: what fails there (damaged data, a closed pipe) loses no step."""
        try:
            yield
        except Exception:
            with suppress(OSError, CheckpointError):
                self.save()
                _warn(f"the run stops; step {self.progress.step} is saved, continue with --resume")
            raise

    def _one_step(self, batch: Batch) -> StepResult:
        progress = self.progress
        if self._stop_signals.received is not None:
            self.thor.exchange.request_stop()
        result = self.thor.step(*self._inputs(batch))
        progress.step += 1
        progress.samples += self.config.batch_size
        progress.failed_blocks += result.failed_blocks
        progress.skipped += not result.applied
        if result.applied:
            progress.skipped_in_a_row = 0
        elif self.thor.loss_scale.value == result.loss_scale:  # a lower one may be the remedy
            progress.skipped_in_a_row += 1
        return result

    def _report_loss_scale(self, result: StepResult) -> None:
        """Say so where the last step has changed it."""
        now = self.thor.loss_scale.value
        if now != result.loss_scale:
            reason = f"{self.thor.loss_scale.window} steps in a row were finite" if result.applied else "overflow"
            self._say(f"loss scale {result.loss_scale:.0f} -> {now:.0f} after step {self.progress.step}: {reason}")

    def _inputs(self, batch: Batch) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """What the next step takes: inputs and labels."""
        config = self.config
        return inputs_and_labels(batch, config.seed, self.progress.step, self.world.rank, config.accumulate)

    def save(self) -> None:
        """Write a checkpoint of the present step: one rank does, for all."""
        if not self.world.writes:
            return
        state = {
            **self.progress.state(),
            "seed": self.config.seed,
            "ranks": self.world.ranks,
            "bert_thor": __version__,
            "mindspore": list(version()),
        }
        checkpoint = Checkpoint(self.progress.step, arrays(weights(self.model)), arrays(self.thor.state()), state)
        best = self.progress.best.step if self.config.keep_best else 0
        save_checkpoint(self.folder.checkpoints, checkpoint, self.config.keep_checkpoints, best or None)

    def _begin(self) -> Optional[Path]:
        """Resume, start from other weights, or from new ones; returns the vocabulary that the run's data must have, if it is known."""
        if self.config.resumes and self._resume():
            return run_vocabulary(self.folder.path)
        return None if self.config.start is None else self._start_from(self.config.start)

    def _describe(self, vocabulary: Optional[Path]) -> None:
        """Write what the run is made of: the first thing that it leaves behind."""
        config, before, now = self.config, read_run_data(self.folder.path), describe_data(self.rows.folder)
        check_vocabulary(config.data, vocabulary)
        if self.world.writes and self.progress.step and before.data_sha256 not in (None, now.data_sha256):
            _warn(
                f"the data has changed since the run began: {config.data} has the digest {now.data_sha256}, before it was "
                f"{before.data_sha256}; the rows come in another order"
            )
        if self.world.writes:
            known = continued(before, now) if self.progress.step else now
            self.folder.describe(config, known, vocabulary or vocabulary_of(config.data))

    def _start_from(self, path: Path) -> Optional[Path]:
        """Take the weights of what `path` names, and nothing else; returns its vocabulary."""
        start = self.read_start(path)
        assign(weights(self.model), start.parameters, path)
        self._say(f"starting from the weights of {path}")
        return start.vocabulary

    def _checkpoint(self) -> Optional[tuple[Path, Checkpoint]]:
        """The checkpoint to go on from: the one of `resume_from`, or the newest."""
        step = self.config.resume_from
        if step is None:
            return newest_checkpoint(self.folder.checkpoints, _warn)
        self.folder.check_step(step)
        path = checkpoint_path(self.folder.checkpoints, step)
        return path, load_checkpoint(path)

    def _resume(self) -> bool:
        """Go on from a checkpoint; False where there is none."""
        found = self._checkpoint()
        if found is None:
            self._say(f"{self.config.run} has no checkpoint yet: starting from step 0")
            return False
        path, checkpoint = found
        for parameters, stored in (
            (weights(self.model), checkpoint.model),
            (self.thor.state(), checkpoint.optimizer),
        ):
            assign(parameters, stored, path)
        self.progress = read_progress(checkpoint.state, path)
        self.thor.step_number = self.progress.step - self.thor.loss_scale.overflows
        self._say(f"resuming from {path} at step {self.progress.step}")
        planned = self.folder.read_config().get("steps", self.config.steps)
        if self.config.steps > planned:
            self._say(f"{planned} steps become {self.config.steps}: the rates follow the curve of these from here on")
        if self.config.resume_from is not None and self.world.writes:
            later = self.folder.go_back_to(self.progress.step)
            if later:
                self._say(
                    f"the checkpoints of later steps ({', '.join(map(str, later))}) are now in {self.folder.set_aside}"
                )
        return True

    def _stop_if_not_finite(self) -> None:
        if self.progress.skipped_in_a_row >= MAX_SKIPPED:
            self.save()
            self.watch.finish()
            scale = self.thor.loss_scale
            remedy = ", or with --loss-scale dynamic" if scale.active and not scale.dynamic else ""
            raise TrainingError(
                f"loss or gradient was not finite in {MAX_SKIPPED} steps in a row up to step {self.progress.step}; the state is saved in "
                f"{self.folder.checkpoints}: look at the data, or resume with a smaller learning rate in a new run{remedy}"
            )

    def _say(self, text: str) -> None:
        """Print it, on one rank."""
        if self.world.writes:
            print(text, flush=True)

    def _stop_if_asked(self) -> None:
        asked = (
            self._stop_signals.received is not None if self.world.ranks == 1 else self.thor.exchange.stop_requested()
        )
        if asked:
            self.save()
            self.watch.finish()
            status = 128 + (self._stop_signals.received or signal.SIGTERM)
            raise Interrupted(f"interrupted; step {self.progress.step} is saved, continue with --resume", status)


def check_micro_batches(config: PretrainConfig, ranks: int) -> None:
    """Raise `ConfigError` unless every process can cut its share of a batch into equal micro-batches."""
    if config.accumulate > 1 and config.batch_size % (ranks * config.accumulate):
        share = (
            f"the {config.batch_size // ranks} rows of a process" if ranks > 1 else f"batch_size {config.batch_size}"
        )
        raise ConfigError(
            f"accumulate is {config.accumulate}, which does not divide {share}: "
            f"give a batch_size that is a multiple of {ranks * config.accumulate}, or another accumulate"
        )


def settled(config: PretrainConfig, folder: RunFolder) -> tuple[PretrainConfig, Precision, str]:
    """`config` with what its defaults mean here, as far as nothing has to be measured; its precision, and the reason for that."""
    precision, reason = choose_precision(config.precision, config.device_target)
    scale = scale_for(config.optimizer.loss_scale, precision)
    config = replace(config, precision=precision, optimizer=replace(config.optimizer, loss_scale=scale))
    return with_stored_block(config, folder), precision, reason


def _warn(sentence: str) -> None:
    print(f"warning: {sentence}", file=sys.stderr, flush=True)
