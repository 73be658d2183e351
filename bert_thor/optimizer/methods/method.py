"""What a method is, and where each registers itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import prod
from typing import Optional

from bert_thor.errors import ConfigError, did_you_mean
from bert_thor.network.architecture import ParameterSpec
from bert_thor.optimizer.config import OptimizerConfig
from bert_thor.optimizer.curvature.blocks import is_classifier
from bert_thor.optimizer.curvature.curvature import Curvature, Curvatures
from bert_thor.optimizer.rule import Rule, Shapes


@dataclass(frozen=True)
class Method:
    """An optimizer by name: which rule updates which kind of parameter, and what its options are unless told otherwise."""

    defaults: OptimizerConfig
    rules: Mapping[str, type[Rule]]
    """Rule of the parameters of a kind that are not listed in `first_order`; they have learning_rate."""
    rest: type[Rule]
    """Rule of all others; they have first_order_learning_rate."""
    curvature: Optional[type[Curvature]] = None
    """Curvature of one weight, where a rule of `rules` has one."""
    curvatures: Optional[type[Curvatures]] = None
    """That of all."""

    @property
    def name(self) -> str:
        """What `--optimizer` takes."""
        return self.defaults.name

    @property
    def is_uniform(self) -> bool:
        """Whether all parameters have one rule."""
        return all(rule is self.rest for rule in self.rules.values())

    def rule_of(self, spec: ParameterSpec, config: OptimizerConfig) -> tuple[type[Rule], bool]:
        """The rule of a parameter, and whether it has learning_rate."""
        if is_listed(spec, config) or spec.kind not in self.rules:
            return self.rest, False
        return self.rules[spec.kind], True

    def state_shapes(self, spec: ParameterSpec, config: OptimizerConfig) -> Shapes:
        """Every float32 tensor that the method keeps for a parameter, by kind: moments, factors, inverses, bases."""
        rule, _ = self.rule_of(spec, config)
        shapes = rule.state_shapes(spec, config)
        if rule.has_curvature and self.curvature is not None:
            shapes = {**shapes, **self.curvature.state_shapes(spec, config)}
        return shapes

    def state_bytes(self, spec: ParameterSpec, config: OptimizerConfig) -> int:
        """Bytes of `state_shapes`."""
        return 4 * sum(prod(shape) for shape in self.state_shapes(spec, config).values())


METHODS: dict[str, Method] = {}
"""By name; the files of this package put themselves here."""


def register(method: Method) -> None:
    """Add a method; called once at the end of its file."""
    if method.name in METHODS:
        raise ValueError(f"two methods are called {method.name}")
    METHODS[method.name] = method


def method(name: str) -> Method:
    """The method called `name`; raises `ConfigError` with the list when there is none."""
    if name not in METHODS:
        hint = did_you_mean(name, METHODS)
        raise ConfigError(f"optimizer {name!r} is not known: use one of {', '.join(sorted(METHODS))}{hint}")
    return METHODS[name]


def preset(name: str) -> OptimizerConfig:
    """The defaults of the method called `name`; raises `ConfigError` with the list when there is none."""
    return method(name).defaults


def is_listed(spec: ParameterSpec, config: OptimizerConfig) -> bool:
    """Whether `first_order` names the parameter's kind, calls it a classifier, or has a pattern for its name."""
    names = {spec.kind, "classifier"} if is_classifier(spec) else {spec.kind}
    return any(pattern in names or fnmatchcase(spec.name, pattern) for pattern in config.first_order)
