"""THOR for any MindSpore network: the public interface, which the project's own trainer uses too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from time import perf_counter
from typing import Any, Optional, Union

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn

from bert_thor.compat import is_first_ascend_910
from bert_thor.errors import ConfigError
from bert_thor.ops._custom import kernel_errors
from bert_thor.optimizer.accumulation import Accumulation
from bert_thor.optimizer.config import OptimizerConfig
from bert_thor.optimizer.curvature.curvature import Curvatures, Moment, RefreshReport
from bert_thor.optimizer.loss_scale import LossScale
from bert_thor.optimizer.methods import method, preset
from bert_thor.optimizer.overflow_status import judged
from bert_thor.optimizer.registration import describe, register
from bert_thor.optimizer.rule import Rule
from bert_thor.optimizer.schedule import Rate, damping, rates, refreshes_between
from bert_thor.optimizer.step import NUMBERS, Backward, Forward, Gradients, ScaledGradients, Update, scalar
from bert_thor.parallel.collectives import Exchange
from bert_thor.parallel.world import World

ALONE = World()
"""One process."""

Batch = Union[Tensor, Sequence[Tensor]]


@dataclass(frozen=True)
class StepResult:
    """What one step did."""

    loss: float
    parts: tuple[float, ...]
    """What else the loss function returned beside the loss."""
    gradient_norm: float
    learning_rate: float
    damping: float
    refreshed: bool
    applied: bool
    """False where loss or gradient (with loss scaling: or a factor) was not finite: then no parameter has changed."""
    loss_scale: float
    """S of this step; the next one's is `Thor.loss_scale.value`."""
    overflows: int
    """Steps, up to and with this one, that were dropped under loss scaling."""
    failed_blocks: int
    step_seconds: float
    refresh_seconds: float
    curvature: Optional[RefreshReport]
    """What the refresh did; None in other steps."""


class Thor(nn.Cell):
    """Trains a network with THOR, or with another method of `bert_thor.optimizer.methods` in the same loop.

        thor = Thor(network, loss, steps=1000)
        result = thor.step(inputs, labels)  # result.loss, result.refreshed, ...

    Args:
        network: any cell. Its dense layers (`nn.Dense`, `mint.nn.Linear`, or any cell whose construct calls `self.matmul(x, self.weight)`)
            are preconditioned; `nn.Embedding` can be (`first_order`); norms, biases and all else have the method's first-order rule. The
            table says what each parameter got: `print(thor.describe())`. The network's code, numbers and parameters stay as they are.
        loss: a cell or function (outputs..., labels...) -> scalar, the mean over the samples; or a tuple (loss, other numbers to report).
        steps: the length of the run, over which rates fall.
        config: all options at once; else `name` and the fields of `OptimizerConfig` by keyword, on top of the method's defaults.
            `learning_rate` and `first_order_learning_rate` may also be lists with a rate for every step, functions of the step (from 0)
            or MindSpore's schedules: then there is no warm-up and no decay on top. Where only the first is given, the second keeps the
            ratio that the defaults have. `loss_scale="dynamic"` is for networks that compute in float16 (`auto` is 1 here: the precision is
            the network's); its scale is part of `state_dict`.
        groups: by a pattern of names, how many equal tensors lie side by side along a parameter's first axis (3 for a fused query, key
            and value): their directions are scaled one by one, and no block of G reaches across two of them.
        strict: raise `ConfigError` for a parameter for which the method has no rule of its own and which `first_order` does not list.
        labels: how many of the last arguments of a call `thor(*batch)` are labels, as in `ms.Model(thor).train(...)`.
        world: the processes that train together, each with its slice of the batch; `loss` is then this slice's share of the whole loss.
        accumulate: micro-batches of a step: `step` cuts its batch into so many, and the loss is the mean of theirs.
        exchange_precision: float32, float16 or bfloat16, in which the processes sum gradients; all else that they exchange is float32.
        failures: the folder in which blocks that end a run are saved.

    A sample is an index of the first axis of the first input; a row is what a layer multiplies by its weight (a token). Factors are means
    over all rows of a step: those of all uses, where a layer is used more than once or a weight is shared by several layers; rows with zero
    output gradient (padding) count as rows, and with `row_weights="gradient"` they add nothing to any factor. A layer that is not used in a
    step is named in a warning, and its weight is not preconditioned.
    """

    def __init__(
        self,
        network: nn.Cell,
        loss: Any,
        steps: int,
        *,
        config: Optional[OptimizerConfig] = None,
        groups: Optional[Mapping[str, int]] = None,
        strict: bool = False,
        labels: int = 1,
        world: World = ALONE,
        accumulate: int = 1,
        exchange_precision: str = "float32",
        failures: Path = Path(),
        **options: Any,
    ) -> None:
        super().__init__(auto_prefix=False)
        if steps < 1:
            raise ConfigError(f"steps is {steps}: it must be 1 or more")
        if accumulate < 1:
            raise ConfigError(f"accumulate is {accumulate}: it must be 1 micro-batch or more")
        self.config, learning_rate, first_order = _configuration(config, options)
        self.rate, self.first_rate = rates(learning_rate, first_order, steps, self.config)
        self.network, self.loss, self.steps, self.labels = network, loss, steps, labels
        self.world, self.step_number = world, 0
        self.loss_scale = LossScale(self.config.loss_scale, self.config.loss_scale_window)
        self.watched = self.loss_scale.active and is_first_ascend_910(ms.get_context("device_target"))
        self.table = register(network, self.config, groups or {}, strict)
        self.rules: Sequence[Rule] = [entry.rule(entry, self.config) for entry in self.table]
        curved = [rule.curvature for rule in self.rules if rule.has_curvature]
        kind = method(self.config.name).curvatures
        self.curvatures: Optional[Curvatures] = kind(curved, self.config, world, failures) if kind and curved else None
        self.curved = [rule.has_curvature for rule in self.rules]
        self.update = Update(self.rules)
        self._graphs: dict[tuple[int, bool], Any] = {}
        self._retired: list[Any] = []
        weights = [entry.parameter.shape for entry in self.table]
        self.exchange = Exchange(world, weights, [probe.shape for probe in self.probes()], exchange_precision)
        self.accumulation: Optional[Accumulation] = None
        if accumulate > 1:
            self.accumulation = Accumulation(accumulate, self.exchange, self.loss_scale.active, self.watched)
            self.buffered_update = self.accumulation.update(self.update, [entry.parameter for entry in self.table])
        network.set_train()

    def probes(self) -> list[Parameter]:
        """The zero parameters whose gradients are the factors; they belong to no cell."""
        return self.curvatures.probes() if self.curvatures else []

    def state(self) -> list[Parameter]:
        """Every parameter of the optimizer's own: moments, factors, inverses, the scale of the loss."""
        weights = {id(entry.parameter) for entry in self.table}
        of_rules = [parameter for parameter in self.update.get_parameters() if id(parameter) not in weights]
        return of_rules + self.loss_scale.state()

    def describe(self, device: str = "CPU") -> str:
        """The table of parameters and rules as text."""
        return describe(self.table, self.config, device)

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of the optimizer's state by name, and its place in the schedule; the network's own parameters are not in it."""
        values = {parameter.name: parameter.asnumpy().copy() for parameter in self.state()}
        return {**values, "step": np.array(self.step_number)}

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from what `state_dict` returned; with the network's parameters of the same moment the steps are the same bits.

        Raises `ConfigError` where names or shapes differ, before anything is changed.
        """
        own = {parameter.name: parameter for parameter in self.state()}
        if set(state) != {*own, "step"}:
            odd = sorted(set(state) ^ {*own, "step"})[0]
            raise ConfigError(
                f"the stored state and this optimizer differ in {odd}: load it into the same configuration"
            )
        for name, parameter in own.items():
            if tuple(state[name].shape) != tuple(parameter.shape):
                raise ConfigError(
                    f"the stored {name} has shape {tuple(state[name].shape)}, this optimizer needs {tuple(parameter.shape)}"
                )
        for name, parameter in own.items():
            parameter.set_data(Tensor(np.asarray(state[name], np.float32)))
        self.step_number = int(state["step"])

    def __call__(self, *batch: Tensor) -> Tensor:
        """One step as a training cell of `ms.Model`: the last `labels` arguments are labels. Returns the loss."""
        inputs = len(batch) - self.labels
        if inputs < 1:
            raise ConfigError(
                f"a batch of {len(batch)} columns has no input beside its {self.labels} labels: give labels=..."
            )
        return Tensor(np.float32(self.step(batch[:inputs], batch[inputs:]).loss))

    def compile_steps(self, inputs: Batch, labels: Batch) -> None:
        """Compile the graphs of all steps now, in one order whatever step comes first, instead of when each is first needed."""
        batch, count = _columns(inputs, labels)
        with kernel_errors():
            self._compile_gradients(batch, count, False)
            if self.curvatures is not None:
                if self.probes():
                    self._compile_gradients(batch, count, True)
                self.curvatures.compile()
            numbers = [scalar(0.0) for _ in NUMBERS]
            if self.accumulation is None:
                numbers += [Tensor(np.zeros(entry.spec.shape, np.float32)) for entry in self.table]
                self.update.compile(*numbers)
            else:
                self.buffered_update.compile(*numbers)

    def _compile_gradients(self, batch: Sequence[Tensor], inputs: int, capturing: bool) -> None:
        graph = self.gradients(inputs, capturing)
        if self.accumulation is None:
            graph.compile(*self.loss_scale.inputs(), *batch)
        else:  # how many losses there are to sum shows when it runs
            self.accumulation.run(graph, batch, self.loss_scale.value)

    def captures(self, step: int) -> bool:
        """Whether step `step` (from 0) captures factors and refreshes the inverses."""
        return self.curvatures is not None and self.curvatures.captures(step)

    def refreshes_between(self, first: int, last: int) -> int:
        """How many of the steps from `first` up to, but not with, `last` the schedule lets refresh."""
        return refreshes_between(first, last, self.config) if self.curvatures is not None else 0

    def step(self, inputs: Batch, labels: Batch) -> StepResult:
        """Run the next step on one batch. A loss or gradient that is not finite leaves all parameters as they were.

        With loss scaling such a step leaves the place in the schedule too; without it the schedule goes on. With `accumulate` each column
        is cut into as many equal parts along its first axis, of which the i-th ones are the i-th micro-batch.
        """
        started, step, loss_scale = perf_counter(), self.step_number, self.loss_scale.value
        batch, count = _columns(inputs, labels)
        if not self.network.training:
            self.network.set_train()
        with kernel_errors():
            losses, norm_tensor, gradients, factors = self._backward(batch, count, self.captures(step))
            loss, *parts = (float(x.asnumpy()) for x in losses)
            norm = float(norm_tensor.asnumpy())
            finite = bool(np.isfinite(loss) and np.isfinite(norm))
            strength = damping(step, self.steps, self.config)
            samples = self._samples(batch)
            report, seconds = None, 0.0
            if finite:
                report, seconds = self._refresh(Moment(gradients, factors, step, samples, strength))
                seconds += self.apply(gradients, norm, strength, samples[1])
        self.step_number += finite or not self.loss_scale.active
        self.loss_scale.update(finite)
        return StepResult(
            loss=loss,
            parts=tuple(parts),
            gradient_norm=norm,
            learning_rate=self.rate(step),
            damping=strength if self.curvatures and self.curvatures.damped else 0.0,
            refreshed=report is not None,
            applied=finite,
            loss_scale=loss_scale,
            overflows=self.loss_scale.overflows,
            failed_blocks=report.failed if report else 0,
            step_seconds=perf_counter() - started,
            refresh_seconds=seconds,
            curvature=report,
        )

    def capture(self, inputs: Batch, labels: Batch) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The factors of one batch in the order of `probes`, and (uses, rows) of each layer in one (micro-)batch; no parameter is changed.

        A dynamic loss scale is lowered until they are finite.
        """
        batch, count = _columns(inputs, labels)
        with kernel_errors():
            _, norm, _, factors, uses = self._run(batch, count, True)
            while not np.isfinite(norm.asnumpy()) and self.loss_scale.lower():
                _, norm, _, factors, uses = self._run(batch, count, True)
        return [factor.asnumpy() for factor in factors], [counts.asnumpy() for counts in uses]

    def gradients(self, inputs: int, capturing: bool) -> Any:
        """The graph of a step, or with `accumulate` of a micro-batch, with that many inputs."""
        if self.curvatures is not None:
            self.curvatures.check()
        key = inputs, capturing
        if key not in self._graphs:
            self._graphs[key] = self._new_graph(inputs, capturing)
        return self._graphs[key]

    def _new_graph(self, inputs: int, capturing: bool) -> Backward:
        curvatures = self.curvatures if capturing else None
        probes, powers, uses = (
            (curvatures.probes(), curvatures.powers(), curvatures.uses()) if curvatures else ([], [], [])
        )
        weights = [entry.parameter for entry in self.table]
        sources = Forward(self.network, self.loss, inputs), weights, probes, uses
        if self.accumulation is not None:
            return self.accumulation.graph(*sources, powers)
        if self.loss_scale.active:
            return ScaledGradients(*sources, self.exchange, powers, self.watched)
        return Gradients(*sources, self.exchange)

    def _run(self, batch: Sequence[Tensor], inputs: int, capturing: bool) -> Any:
        """(losses, norm, gradients, factors, uses) of one batch; the norm is infinite where the device's status says overflow."""
        graph = self.gradients(inputs, capturing)
        if self.accumulation is not None:
            losses, norm, *rest = self.accumulation.run(graph, batch, self.loss_scale.value)
        else:
            losses, norm, *rest = graph(*self.loss_scale.inputs(), *batch)
        if self.watched:
            losses, norm = judged(losses, norm)
        return (losses, norm, *rest)

    def _backward(self, batch: Sequence[Tensor], inputs: int, capturing: bool) -> Any:
        """(losses, norm, gradients, factors); at the first capture the probes may change by what it shows."""
        losses, norm, gradients, factors, uses = self._run(batch, inputs, capturing)
        if capturing and self.curvatures is not None and self.curvatures.adapt(uses):
            self._retired += self._graphs.values()  # a freed cell's address must not be taken by another
            self._graphs.clear()
            self.exchange.expect([probe.shape for probe in self.probes()])
            losses, norm, gradients, factors, _ = self._run(batch, inputs, capturing)
        return losses, norm, gradients, factors

    def _samples(self, batch: Sequence[Tensor]) -> tuple[int, int]:
        """Of what a factor is the mean over, one (micro-)batch of this process, and of the whole step."""
        rows = int(batch[0].shape[0])
        return rows // (self.accumulation.parts if self.accumulation else 1), rows * self.world.ranks

    def _refresh(self, moment: Moment) -> tuple[Optional[RefreshReport], float]:
        """Renew the curvature; the seconds that it took."""
        if self.curvatures is None or not self.curvatures.refreshes(moment.step):
            return None, 0.0
        started = perf_counter()
        chosen = [gradient for gradient, curved in zip(moment.gradients, self.curved) if curved]
        report = self.curvatures.refresh(replace(moment, gradients=chosen))
        return report, perf_counter() - started

    def apply(self, gradients: Sequence[Tensor], norm: float, strength: float, samples: int) -> float:
        """Change the parameters; the seconds of what the curvature does after it."""
        config, step = self.config, self.step_number
        moves = self.curvatures is None or self.curvatures.moves(step)
        root2 = (1.0 - config.beta2 ** (step + 1)) ** 0.5
        numbers = {
            "scale": config.clip_norm / norm if 0 < config.clip_norm < norm else 1.0,
            "rate": self.rate(step) if moves else 0.0,
            "first_rate": self.first_rate(step),
            "correction": root2 / (1.0 - config.beta1 ** (step + 1)),
            "root2": root2,
            "root_damping": strength**0.5,
            "samples": samples,
        }
        tensors = [scalar(numbers[name]) for name in NUMBERS]
        done = self.update(*tensors, *gradients) if self.accumulation is None else self.buffered_update(*tensors)
        done.asnumpy()
        if self.curvatures is None:
            return 0.0
        started = perf_counter()
        return perf_counter() - started if self.curvatures.settle(step) else 0.0


RATES = ("learning_rate", "first_order_learning_rate")


def _configuration(
    config: Optional[OptimizerConfig], options: Mapping[str, Any]
) -> tuple[OptimizerConfig, Rate, Optional[Rate]]:
    """The checked configuration, and the two learning rates, which need not be numbers; None for a second one that is not given."""
    names = [field.name for field in fields(OptimizerConfig)]
    unknown = sorted(set(options) - set(names))
    if unknown:
        raise ConfigError(f"{unknown[0]} is not an option of the optimizer: use one of {', '.join(names)}")
    plain = {key: value for key, value in options.items() if key not in RATES or isinstance(value, (int, float))}
    config = replace(config or preset(plain.get("name", "thor")), **plain)
    method(config.name)
    config.check()
    if config.block == "auto":
        raise ConfigError(
            "block is auto: measure it first with bert_thor.optimizer.choose_block(network, loss, inputs, labels), and give the number"
        )
    learning_rate, first_order = (_rate(options.get(key)) for key in RATES)
    return config, config.learning_rate if learning_rate is None else learning_rate, first_order


def _rate(given: Any) -> Any:
    """A learning rate schedule of MindSpore's takes the step as a tensor."""
    return (lambda step: float(given(Tensor(np.int32(step))).asnumpy())) if isinstance(given, nn.Cell) else given


def _columns(inputs: Batch, labels: Batch) -> tuple[list[Tensor], int]:
    """Inputs and labels as one list of tensors, and how many are inputs."""
    first, second = (list(part) if isinstance(part, (tuple, list)) else [part] for part in (inputs, labels))
    if not first:
        raise ConfigError("the batch has no input: pass the network's inputs as the first argument")
    columns = [column if isinstance(column, Tensor) else Tensor(np.asarray(column)) for column in (*first, *second)]
    return columns, len(first)
