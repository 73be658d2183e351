"""The published update rules restated in float64 NumPy, without blocks, packing or fused anything.

Each takes the parameters, gradients, and (for curvature) inputs and output gradients of a step and returns the new parameters. Matrices
are full; where a rule uses diagonal blocks, everything outside them is set to zero first.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from float64_bert import Pass

from bert_thor.optimizer.config import OptimizerConfig

Array = Any
Tensors = dict[str, Array]


def parts(name: str, value: Array) -> list[Array]:
    """The tensors that a parameter stands for: query, key and value are one parameter here and three in the papers."""
    return np.split(value, 3) if ".qkv." in name else [value]


def each_part(name: str, function: Any, *values: Array) -> Array:
    return np.concatenate([function(*arguments) for arguments in zip(*(parts(name, value) for value in values))])


def clip(value: Array, norm: float) -> Array:
    return value * min(1.0, norm / np.linalg.norm(value))


def clip_global(gradients: Tensors, norm: float) -> Tensors:
    total = np.sqrt(sum((value**2).sum() for value in gradients.values()))
    return {name: value * min(1.0, norm / total) for name, value in gradients.items()}


def linear_rate(step: int, steps: int, warmup: float) -> float:
    rising = int(warmup * steps)
    return (step + 1) / rising if step < rising else (steps - step) / (steps - rising)


def diagonal_blocks(matrix: Array, edge: int) -> Array:
    """The matrix with everything outside its diagonal blocks of `edge` set to zero."""
    index = np.arange(len(matrix)) // edge
    return np.where(index[:, None] == index[None, :], matrix, 0.0)


class Curvature:
    """A and G of one parameter: averaged, damped and inverted as full matrices."""

    def __init__(self, name: str, config: OptimizerConfig, edge_a: int, edge_g: int) -> None:
        self.name, self.config, self.edges = name, config, (edge_a, edge_g)
        self.a = self.g = self.inverse_a = self.inverse_g = None

    def refresh(self, inputs: Array, gradients: Array, rows: int, sequences: int, damping: float) -> None:
        """One capture and inversion; `inputs` are ids for a table of `rows` rows."""
        per_sequence = gradients * sequences
        weighted = self.config.row_weights == "gradient"
        weights = (per_sequence**2).sum(1) if weighted else np.ones(len(inputs))
        if inputs.ndim == 1:
            a = np.diag(np.bincount(inputs, weights, minlength=rows) / sequences).astype(np.float64)
        else:
            a = diagonal_blocks((inputs.T * weights) @ inputs / len(inputs), self.edges[0])
        g = diagonal_blocks(per_sequence.T @ per_sequence / len(gradients), self.edges[1])
        keep = self.config.factor_decay if self.a is not None else 0.0
        self.a = a if self.a is None else keep * self.a + (1 - keep) * a
        self.g = g if self.g is None else keep * self.g + (1 - keep) * g
        mean_a, mean_g = np.trace(self.a) / len(self.a), np.trace(self.g) / len(self.g)
        rule, root = self.config.damping_rule, np.sqrt(damping)
        if rule == "relative":
            damped = self.a / mean_a + damping * np.eye(len(self.a)), self.g / mean_g + damping * np.eye(len(self.g))
        else:
            pi = np.sqrt(mean_a / mean_g) if rule == "pi" else 1.0
            damped = self.a + pi * root * np.eye(len(self.a)), self.g + root / pi * np.eye(len(self.g))
        self.condition = sum(np.linalg.cond(matrix, 1) for matrix in damped)
        self.inverse_a, self.inverse_g = (np.linalg.inv(matrix) for matrix in damped)

    def direction(self, gradient: Array) -> Array:
        if self.name.endswith("_table"):
            return self.inverse_a @ gradient @ self.inverse_g
        return (np.eye(2) if len(gradient) == 2 else self.inverse_g) @ gradient @ self.inverse_a


class Restated:
    """State and step of one optimizer by its name."""

    def __init__(self, config: OptimizerConfig, edge: Any) -> None:
        self.config, self.edge = config, edge
        self.m: Tensors = {}
        self.v: Tensors = {}
        self.curvatures: dict[str, Curvature] = {}
        self.condition: dict[str, float] = {}

    def step(self, weights: Tensors, found: Pass, step: int, steps: int, sequences: int, refresh: bool) -> Tensors:
        c = self.config
        if refresh and c.name.startswith("thor"):
            self._refresh(weights, found, sequences, self._damping(step))
        rate = self._rate(step, steps)
        published = c.name in ("thor-2020", "thor-2021")
        gradients = found.gradients if published else clip_global(found.gradients, c.clip_norm)
        move = {"adamw": self._adamw, "lamb": self._lamb, "sgd": self._sgd, "muon": self._muon, "thor": self._thor}
        rule = move.get(c.name, self._original)
        return {name: rule(name, weights[name], gradients[name], rate, step, sequences) for name in weights}

    def first_order(self, name: str) -> bool:
        patterns = {"thor-2020": ("*bias", "transform_norm.*", "next_sentence.*"), "thor-2021": ("*bias",)}
        others = ("*bias", "*.gamma", "*.beta", "*_table", "next_sentence.*")
        return any(fnmatchcase(name, pattern) for pattern in patterns.get(self.config.name, others))

    def _rate(self, step: int, steps: int) -> float:
        c = self.config
        if c.name in ("thor-2020", "thor-2021"):
            power = {"thor-2020": 1, "thor-2021": 2}[c.name]
            return ((c.learning_rate - 1e-6) * (1 - step / 30000) ** power + 1e-6) / c.learning_rate
        return linear_rate(step, steps, c.warmup)

    def _damping(self, step: int) -> float:
        c = self.config
        if c.name == "thor":
            return c.damping
        return (c.damping - 1e-6) * (1 - step / 30000) ** {"thor-2020": 1, "thor-2021": 4}[c.name] + 1e-6

    def _refresh(self, weights: Tensors, found: Pass, sequences: int, damping: float) -> None:
        for name in found.inputs:
            if self.first_order(name):
                continue
            if name not in self.curvatures:
                outputs, inputs = weights[name].shape
                groups = 3 if ".qkv." in name else 1
                table = name.endswith("_table")
                edges = (1, self.edge(inputs, 1)) if table else (self.edge(inputs, 1), self.edge(outputs, groups))
                self.curvatures[name] = Curvature(name, self.config, *edges)
            curvature = self.curvatures[name]
            rows = len(weights[name])
            curvature.refresh(found.inputs[name], found.output_gradients[name], rows, sequences, damping)
            self.condition[name] = curvature.condition

    def _average(self, name: str, value: Array, decay: float, fresh: float) -> Array:
        self.m[name] = decay * self.m.get(name, np.zeros_like(value)) + fresh * value
        return self.m[name]

    def _adam_direction(self, name: str, gradient: Array, step: int) -> Array:
        """m/(√v + ε) with the bias corrections outside, the second form of Kingma & Ba's section 2."""
        c = self.config
        m = self._average(name, gradient, c.beta1, 1 - c.beta1)
        self.v[name] = c.beta2 * self.v.get(name, np.zeros_like(gradient)) + (1 - c.beta2) * gradient**2
        correction = np.sqrt(1 - c.beta2 ** (step + 1)) / (1 - c.beta1 ** (step + 1))
        return correction * m / (np.sqrt(self.v[name]) + c.epsilon)

    def _adamw(self, name: str, w: Array, g: Array, rate: float, step: int, sequences: int) -> Array:
        c = self.config
        lr = rate * (c.first_order_learning_rate if self.first_order(name) else c.learning_rate)
        decay = c.weight_decay if w.ndim == 2 else 0.0
        return w * (1 - lr * decay) - lr * self._adam_direction(name, g, step)

    def _lamb(self, name: str, w: Array, g: Array, rate: float, step: int, sequences: int) -> Array:
        c = self.config
        lr = rate * (c.first_order_learning_rate if self.first_order(name) else c.learning_rate)
        m = self._average(name, g, c.beta1, 1 - c.beta1) / (1 - c.beta1 ** (step + 1))
        self.v[name] = c.beta2 * self.v.get(name, np.zeros_like(g)) + (1 - c.beta2) * g**2
        r = m / (np.sqrt(self.v[name] / (1 - c.beta2 ** (step + 1))) + c.epsilon)
        if w.ndim == 1:
            return w - lr * r

        def one(weight: Array, ratio: Array) -> Array:
            u = ratio + c.weight_decay * weight
            return weight - lr * np.linalg.norm(weight) / np.linalg.norm(u) * u

        return each_part(name, one, w, r)

    def _sgd(self, name: str, w: Array, g: Array, rate: float, step: int, sequences: int) -> Array:
        c = self.config
        lr = rate * (c.first_order_learning_rate if self.first_order(name) else c.learning_rate)
        decay = c.weight_decay if w.ndim == 2 else 0.0
        return w * (1 - lr * decay) - lr * self._average(name, g, c.momentum, 1.0)

    def _nesterov(self, name: str, g: Array) -> Array:
        mu = self.config.momentum
        return mu * self._average(name, g, mu, 1 - mu) + (1 - mu) * g

    def _muon(self, name: str, w: Array, g: Array, rate: float, step: int, sequences: int) -> Array:
        if self.first_order(name):
            return self._adamw(name, w, g, rate, step, sequences)
        lr = rate * self.config.learning_rate
        u = each_part(name, lambda x: 0.2 * np.sqrt(max(x.shape)) * newton_schulz(x), self._nesterov(name, g))
        return w * (1 - lr * self.config.weight_decay) - lr * u

    def _thor(self, name: str, w: Array, g: Array, rate: float, step: int, sequences: int) -> Array:
        c = self.config
        if self.first_order(name):
            return self._adamw(name, w, g, rate, step, sequences)
        lr = rate * c.learning_rate
        u = self.curvatures[name].direction(self._nesterov(name, g))
        u = each_part(name, lambda x: c.update_rms * x / np.sqrt((x**2).mean()), u)
        return w * (1 - lr * c.weight_decay) - lr * u

    def _original(self, name: str, w: Array, g: Array, rate: float, step: int, sequences: int) -> Array:
        """thor-2020 and thor-2021, step by step as the original's optimizer loop goes."""
        c = self.config
        if c.name == "thor-2020":
            g = each_part(name, lambda x: clip(x, 1.0), g)
        if name in self.curvatures:
            g = self.curvatures[name].direction(g)
        elif "norm" in name and not (c.name == "thor-2020" and name.startswith("transform_norm")):
            g = g / (g**2 / sequences + np.sqrt(self._damping(step)))
        if w.ndim == 2:
            g = g + c.weight_decay * w
        if c.name == "thor-2021":
            g = each_part(name, lambda x: clip(x, 1.0), g)
        return w - rate * c.learning_rate * self._average(name, g, c.momentum, 1.0)


def newton_schulz(x: Array) -> Array:
    """Muon's five quintic steps, on the wide orientation."""
    wide = x.T if len(x) > len(x.T) else x
    y = wide / (np.linalg.norm(wide) + 1e-7)
    for _ in range(5):
        s = y @ y.T
        y = 3.4445 * y + (-4.7750 * s + 2.0315 * s @ s) @ y
    return y.T if len(x) > len(x.T) else y
