"""What a pretraining run is made of, and the named recipes that it can start from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Optional

from typing_extensions import Literal

from bert_thor.errors import ConfigError, did_you_mean
from bert_thor.network.sizes import BERT_SIZES, BertConfig
from bert_thor.optimizer.config import OptimizerConfig
from bert_thor.optimizer.methods import method, preset
from bert_thor.precision import Precision

CONTINUE = "continue"
"""The recipe of pretraining that goes on from a trained network with another corpus."""
CONTINUED_RATE = 0.1
"""Its rates, as parts of those that a method has for a new network."""


@dataclass(frozen=True)
class PretrainConfig:
    """One pretraining run."""

    data: Path = Path("data")
    """Folder of TFRecord files as `bert-thor prepare` or MLPerf's scripts write them."""
    run: Path = Path("run")
    """Folder that receives configuration, metrics, checkpoints and evaluation."""
    recipe: str = "demo"
    """Named set of defaults for all other options; `list` prints the names."""
    schema: Optional[Path] = None
    """Description of the columns; by default schema.json beside the data."""
    shuffle: bool = True
    """Read every pass over the data in an order of its own; otherwise in the order of the files."""
    skip_damaged: bool = False
    """Read the next sound row in the place of a damaged one, and count it, instead of stopping."""
    prefetch: int = 4
    """Batches that a background thread reads ahead; 0: each is read when its step begins."""
    start: Optional[Path] = None
    """Start from the weights of this run, checkpoint, Hugging Face folder or .ckpt file instead of random ones."""
    steps: int = 1000
    """Optimizer steps."""
    batch_size: int = 16
    """Sequences per step, over all processes and micro-batches."""
    accumulate: int = 1
    """Micro-batches into which each process cuts its share of a step's sequences: one after another, with the memory of one."""
    seed: int = 0
    """Seed of the initial weights, the order of the data and dropout."""
    resume: bool = False
    """Continue the run in --run from its last checkpoint, with its own options where no other ones are given."""
    resume_from: Optional[int] = None
    """Continue it from the checkpoint of this step; later ones are set aside."""
    checkpoint_interval: int = 500
    """Steps between checkpoints; the last step always has one."""
    keep_checkpoints: int = 3
    """Checkpoints to keep; older ones are deleted."""
    log_interval: int = 100
    """Steps between log lines."""
    evaluation_interval: int = 0
    """Samples between evaluations while training; 0: none."""
    eval_data: Optional[Path] = None
    """Data to evaluate on; by default the held-out rows of --data."""
    evaluation_rows: Optional[int] = None
    """Rows that an evaluation while training reads at most; by default all."""
    keep_best: bool = False
    """Keep the checkpoint of the best evaluation while training (by masked-LM accuracy) beside the newest ones."""
    early_stop: int = 0
    """Stop after so many evaluations in a row without a better one; 0: never."""
    log: Literal["plain", "original"] = "plain"
    """plain: lines with loss, accuracy, rate and the time that is left; original: those of MindSpore's bert_thor, rate and time below."""
    tensorboard: bool = False
    """Write the curves of `bert-thor report`, and more, for TensorBoard into the folder tensorboard of the run."""
    dry_run: bool = False
    """Train a few steps in a throw-away place, say what memory, disk and time the run will take, and leave nothing behind."""
    checksum_interval: int = 1000
    """Steps between comparisons of all ranks' weights."""
    compile_cache: Optional[Path] = None
    """Folder that keeps compiled graphs for the next start of the same configuration; by default every start compiles anew."""
    device_target: str = "CPU"
    """CPU or Ascend."""
    precision: Optional[Precision] = None
    """Type of activations and products; weights and the optimizer's state are float32 always. By default float32 on a CPU, float16 on
    the first Ascend 910, bfloat16 on Atlas A2 and A3."""
    exchange_precision: Optional[Precision] = None
    """Precision in which gradients are summed over processes; by default float16 on an Ascend that trains in float16, else float32."""
    model: BertConfig = field(default_factory=BertConfig)
    """Sizes of the network."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """The optimizer and its schedule."""

    @property
    def resumes(self) -> bool:
        """Whether an earlier run goes on."""
        return self.resume or self.resume_from is not None

    def check(self) -> None:
        """Raise `ConfigError` with one sentence when a value is outside its range."""
        for name in (
            "steps",
            "batch_size",
            "accumulate",
            "checkpoint_interval",
            "keep_checkpoints",
            "log_interval",
            "checksum_interval",
        ):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}: it must be 1 or more")
        if self.evaluation_rows is not None and self.evaluation_rows < 1:
            raise ConfigError(f"evaluation_rows is {self.evaluation_rows}: it must be 1 or more")
        for name in ("seed", "evaluation_interval", "early_stop", "prefetch", "resume_from"):
            if (getattr(self, name) or 0) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}: it must be 0 or more")
        for name in ("keep_best", "early_stop"):
            if getattr(self, name) and not self.evaluation_interval:
                raise ConfigError(
                    f"{name} needs evaluations while training: give the samples between two of them as --evaluation-interval"
                )
        if self.recipe == CONTINUE and self.start is None:
            raise ConfigError(f"recipe {CONTINUE} needs a trained network: give its folder as --start")
        if self.device_target not in ("CPU", "Ascend"):
            raise ConfigError(f"device_target {self.device_target!r} is not supported: use CPU or Ascend")
        self.model.check()
        method(self.optimizer.name)
        self.optimizer.check()


def _small(size: str, **changes: object) -> BertConfig:
    return replace(BERT_SIZES[size], hidden_dropout=0.0, attention_dropout=0.0, **changes)  # type: ignore[arg-type]


def _continuing(optimizer: OptimizerConfig) -> OptimizerConfig:
    """A method's preset with rates that change a trained network and do not destroy it."""
    rates = ("learning_rate", "first_order_learning_rate")
    return replace(optimizer, **{name: getattr(optimizer, name) * CONTINUED_RATE for name in rates})  # type: ignore[arg-type]


@dataclass(frozen=True)
class Recipe:
    """A named set of defaults."""

    purpose: str
    """What it is for, in a line."""
    config: PretrainConfig

    @property
    def has_published_sizes(self) -> bool:
        """Whether the network is a published one: its position table stays as long as it is, for a later phase of longer sequences."""
        return self.config.model in BERT_SIZES.values()


def _named(recipe: str, purpose: str, **values: Any) -> tuple[str, Recipe]:
    return recipe, Recipe(purpose, PretrainConfig(recipe=recipe, **values))


RECIPES = dict(
    (
        _named("demo", "2 layers of 128, minutes on a laptop", steps=1500, model=_small("bert-tiny")),
        _named("mini", "4 layers of 256, hours on a laptop", steps=4000, batch_size=32, model=_small("bert-mini")),
        _named(
            "bert-base",
            "BERT-Base, 12 layers of 768",
            steps=100_000,
            batch_size=64,
            model=BERT_SIZES["bert-base"],
        ),
        _named(
            "bert-large",
            "BERT-Large, 24 layers of 1024, as the original and MLPerf train it",
            steps=3000,
            batch_size=12,
            model=BERT_SIZES["bert-large"],
        ),
        _named(
            CONTINUE,
            "own text on top of the network that --start names",
            steps=2000,
            evaluation_interval=4000,
            evaluation_rows=1000,
            optimizer=_continuing(preset("adamw")),
            model=BERT_SIZES["bert-base"],
        ),
    )
)
"""Recipes by name. `demo` is what `make demo` runs; that of continued pretraining has the sizes of the network in `start`."""


def recipe(name: str, optimizer: Optional[str] = None) -> PretrainConfig:
    """The recipe called `name`, with the defaults of another `optimizer` if one is named; raises `ConfigError` for unknown names."""
    if name not in RECIPES:
        names = f"use one of {', '.join(RECIPES)}, which --recipe list explains"
        raise ConfigError(f"recipe {name!r} is not known: {names}{did_you_mean(name, RECIPES)}")
    config = RECIPES[name].config
    if not optimizer:
        return config
    return replace(config, optimizer=_continuing(preset(optimizer)) if name == CONTINUE else preset(optimizer))


def recipe_list() -> str:
    """A line for each recipe."""
    width = max(map(len, RECIPES))
    return "\n".join(
        f"  {name:{width}}  {found.purpose}; {found.config.steps} steps of {found.config.batch_size} rows with "
        f"{found.config.optimizer.name}"
        for name, found in RECIPES.items()
    )
