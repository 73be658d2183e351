"""The time of a step on Ascend 910, part by part, each with what it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bert_thor.network.sizes import BertConfig
from bert_thor.parallel.buckets import BUCKET_BYTES, buckets
from bert_thor.planning import machine, work
from bert_thor.precision import BYTES

EXCHANGE = "exchange of gradients"


@dataclass(frozen=True)
class Part:
    """One part of a step's time."""

    name: str
    seconds: float
    kind: str
    """measured, simulated, modelled, inferred or assumed."""
    per_refresh: bool
    how: str
    within: str = ""
    """The part that this one is a part of, and in whose seconds it is counted."""


@dataclass(frozen=True)
class Step:
    """What a step of one device does."""

    model: BertConfig
    batch: work.Batch
    devices: int
    precision: str
    exchange_precision: str
    accumulate: int
    layers: list[work.PreconditionedLayer]
    flop: dict[str, int]
    traffic: dict[str, int]

    @property
    def matrix_rate(self) -> machine.Constant:
        """Of the products of the network and of the update."""
        return machine.MATRIX_RATES[self.precision]

    @property
    def exchange_rate(self) -> machine.Constant:
        """Of the collectives."""
        return machine.EXCHANGE_RATES[self.precision]

    @property
    def network_seconds(self) -> float:
        """Forward and backward pass."""
        return self.flop["forward and backward"] / self.matrix_rate.value


def parts(step: Step, kernels: Mapping[str, machine.KernelCycles]) -> list[Part]:
    """All that take time."""
    found = [*_network(step, kernels), *_update(step, kernels), *_refresh(step, kernels)]
    return [part for part in found if part.seconds > 0.0]


def exposed_exchange(step: Step) -> float:
    """Seconds of the exchange of gradients that are left after the backward pass, where the collectives overlap it.

    A bucket is sent when its last gradient is there and the one before it has been sent. That the collectives slow the products down is
    not in it. Sums over micro-batches are exchanged when the last one is done: nothing is left then that they could overlap.
    """
    if step.accumulate > 1:
        return step.traffic["gradients (AllReduce)"] / step.exchange_rate.value
    backward = 2 / 3 * step.network_seconds
    gradients = work.gradients_in_backward_order(step.model, step.batch)
    size, share = BYTES[step.exchange_precision], 2 * (step.devices - 1) / step.devices
    sent = 0.0
    for start, end in buckets([elements for elements, _ in gradients], BUCKET_BYTES // size):
        ready = backward * max(share_done for _, share_done in gradients[start:end])
        elements = sum(elements for elements, _ in gradients[start:end])
        sent = max(sent, ready) + share * size * elements / step.exchange_rate.value
    return max(0.0, sent - backward)


def _network(step: Step, kernels: Mapping[str, machine.KernelCycles]) -> list[Part]:
    """The inferred rate of a float16 run is that of all its operators; at that of the float32 products norms come on top."""
    rate, name = step.matrix_rate, "forward and backward"
    how = "FLOP at the framework's matrix rate" if step.precision == "float16" else "FLOP at the vector units' rate"
    norms, entry = _norm_cycles(step, kernels)
    within = name if step.precision == "float16" else ""
    weights = work.FLOAT * work.parameter_count(step.model)
    sums = 3 * step.accumulate * weights / machine.MEMORY_BANDWIDTH.value if step.accumulate > 1 else 0.0
    return [
        Part(name, step.network_seconds, rate.kind, False, how),
        Part("norms", _seconds(norms), entry.kind, False, entry.source, within),
        Part("sums over micro-batches", sums, "modelled", False, "two reads and a write of all gradients for each"),
    ]


def _norm_cycles(step: Step, kernels: Mapping[str, machine.KernelCycles]) -> tuple[float, machine.KernelCycles]:
    """Cycles of one core for all norms, forward and backward, and the kernel that has most of them."""
    model, width = step.model, step.model.hidden_size / 1024
    rows = {
        "layer_norm": step.batch.tokens + step.batch.rows("predictions"),
        "residual_dropout_layer_norm": 2 * model.num_layers * step.batch.tokens,
    }
    cycles = sum(
        count * width * kernels[f"{name}{direction} {step.precision}"].cycles
        for name, count in rows.items()
        for direction in ("", "_grad")
    )
    return cycles, kernels[f"residual_dropout_layer_norm {step.precision}"]


def _update(step: Step, kernels: Mapping[str, machine.KernelCycles]) -> list[Part]:
    kernel, exchange, rate = kernels["precondition"], step.exchange_rate, step.matrix_rate
    weights = work.FLOAT * work.parameter_count(step.model)
    update = machine.UPDATE_PASSES.value * weights / machine.MEMORY_BANDWIDTH.value
    products = step.flop["products of the update"] / rate.value
    sent = step.traffic["gradients (AllReduce)"] / exchange.value
    return [
        Part(EXCHANGE, sent, exchange.kind, False, f"bytes of {step.exchange_precision} at the exchange rate"),
        Part(
            "precondition",
            _seconds(sum(_tiles(layer) for layer in step.layers) * kernel.cycles),
            kernel.kind,
            False,
            kernel.source,
        ),
        Part("products of the update", products, rate.kind, False, "FLOP at the matrix rate"),
        Part("update of the weights", update, machine.UPDATE_PASSES.kind, False, "bytes at HBM's bandwidth"),
    ]


def _refresh(step: Step, kernels: Mapping[str, machine.KernelCycles]) -> list[Part]:
    covariance, inverse, exchange = kernels["fisher_covariance"], kernels["cholesky_inverse"], step.exchange_rate
    factors = [blocks for layer in step.layers for blocks in (layer.a, layer.g)]
    rounded = sum(f.rows * f.features for f in factors if f.count) * (2 * BYTES[step.precision] + BYTES["float16"])
    covariances = sum(f.count * _scaled(f.edge, 2) * f.rows / (covariance.rows or 1) for f in factors)
    inverses = -(-sum(f.count * _scaled(f.edge, 3) for f in factors) // step.devices)
    factor_bytes, inverse_bytes = (
        step.traffic[f"{name}, refresh)"] for name in ("factors (AllReduce", "inverses (AllGather")
    )
    sent = "bytes of float32 at the exchange rate"
    return [
        Part("fisher_covariance", _seconds(covariances * covariance.cycles), covariance.kind, True, covariance.source),
        Part(
            "scaling and rounding for it",
            rounded / machine.MEMORY_BANDWIDTH.value,
            "modelled",
            True,
            "its input is read twice and written in float16, at HBM's bandwidth",
        ),
        Part("exchange of factors", factor_bytes / exchange.value, exchange.kind, True, sent),
        Part(
            "cholesky_inverse, a share per device",
            _seconds(inverses * inverse.cycles),
            inverse.kind,
            True,
            inverse.source,
        ),
        Part("gathering the inverses", inverse_bytes / exchange.value, exchange.kind, True, sent),
    ]


def _seconds(cycles: float) -> float:
    """Of cycles of one core that all share."""
    return cycles / (machine.CORES.value * machine.CLOCK.value)


def _tiles(layer: work.PreconditionedLayer) -> float:
    """Tiles of 128x128 that a weight is preconditioned in."""
    return layer.g.count * layer.a.count * _scaled(layer.g.edge, 1) * _scaled(layer.a.edge, 1)


def _scaled(edge: int, power: int) -> float:
    """Work of a block of this edge beside one of 128, for work that grows with this power of the edge."""
    return (edge / 128) ** power
