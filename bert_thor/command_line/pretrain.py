"""The run that a command line describes. What comes later counts: the recipe, the network that it starts from and the data, --config,
the options themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Callable, Optional

from bert_thor.command_line.config_file import ConfigFile, read_config_file
from bert_thor.command_line.help import help_text
from bert_thor.command_line.options import Option, options_of
from bert_thor.command_line.parse import asks_for_help, parse, value_of, without
from bert_thor.convert.start import read_sizes
from bert_thor.data.errors import DataError
from bert_thor.data.records.folder import open_folder
from bert_thor.data.text.vocabulary import read_vocabulary
from bert_thor.network.sizes import BertConfig
from bert_thor.recipes import CONTINUE, RECIPES, PretrainConfig, recipe, recipe_list
from bert_thor.training.run_data import vocabulary_of
from bert_thor.training.stored_config import read_pretrain_config

CONFIG = Option(
    "--config",
    "FILE",
    "TOML file of options by the names that a run's config.json has, or such a config.json; options beside it come first.",
)
DEFAULT_RECIPE = "demo"


OF_THE_DATA = ("--vocab-size", "--max-position")
"""Options whose default is what the data has."""


class Given:
    """What a command line and its --config say."""

    def __init__(self, arguments: Sequence[str]) -> None:
        path = value_of("--config", arguments)
        self.arguments = without("--config", arguments)
        self.file = ConfigFile(Path(), {}) if path is None else read_config_file(Path(path))
        self._drop_what_another_optimizer_has()

    def text(self, name: str) -> Optional[str]:
        """The value of a field that is a text or a path; None where nothing is said of it."""
        option = "optimizer" if name == "optimizer.name" else name
        found = value_of(f"--{option.replace('_', '-')}", self.arguments)
        if found is not None or name not in self.file.entries:
            return found
        said = self.file.said()
        value = said.optimizer.name if name == "optimizer.name" else getattr(said, name)
        return None if value is None else str(value)

    @property
    def resumes(self) -> bool:
        """Whether an earlier run goes on."""
        asked = "--resume" in self.arguments or value_of("--resume-from", self.arguments) is not None
        return asked or self.file.said().resumes

    def over(self, base: PretrainConfig) -> PretrainConfig:
        """`base` with everything that is said; checked."""
        base = self.file.over(base)
        if asks_for_help(self.arguments):
            print(_help(base))
            raise SystemExit(0)
        config = parse(PretrainConfig, self.arguments, "pretrain", base, [CONFIG])
        config.check()
        return config

    def _drop_what_another_optimizer_has(self) -> None:
        asked, stored = value_of("--optimizer", self.arguments), self.file.entries.get("optimizer.name")
        if None not in (asked, stored) and asked != stored:
            print(f"{self.file.path} has options of {stored}, not of {asked}: they are left out", flush=True)
            self.file = self.file.without_optimizer()


def asks_for_recipes(arguments: Sequence[str]) -> bool:
    """Whether the names of the recipes are asked for: with `--recipe list`, or `--recipe` and nothing after it."""
    return value_of("--recipe", arguments) == "list" or list(arguments[-1:]) == ["--recipe"]


def parse_run(arguments: Sequence[str]) -> PretrainConfig:
    """What `bert-thor pretrain` runs: a new run, or one that goes on with its own options and those that are given on top."""
    given = Given(arguments)
    run = Path(given.text("run") or PretrainConfig.run)
    if given.resumes and (run / "config.json").is_file():
        return given.over(read_pretrain_config(run))
    return _new(given, DEFAULT_RECIPE)


def parse_pretrain(
    arguments: Sequence[str],
    default_recipe: str,
    change: Callable[[PretrainConfig], PretrainConfig] = lambda recipe: recipe,
) -> PretrainConfig:
    """A new run: a recipe's values after `change`, with everything that is given on top; checked."""
    return _new(Given(arguments), default_recipe, change)


def _new(
    given: Given, default_recipe: str, change: Callable[[PretrainConfig], PretrainConfig] = lambda recipe: recipe
) -> PretrainConfig:
    base = change(recipe(given.text("recipe") or default_recipe, given.text("optimizer.name")))
    if not asks_for_help(given.arguments):
        base = replace(base, model=_fitting_sizes(base, given))
    return given.over(base)


def _help(base: PretrainConfig) -> str:
    options = [
        replace(option, default="the data's") if option.name in OF_THE_DATA else option
        for option in options_of(PretrainConfig, base)
    ]
    return help_text("pretrain", str(PretrainConfig.__doc__), [CONFIG, *options], f"recipes:\n{recipe_list()}")


def _fitting_sizes(base: PretrainConfig, given: Given) -> BertConfig:
    """The sizes of a recipe's network, with the vocabulary and the longest sequence of what it starts from, or else of the data."""
    start = given.text("start")
    if start is not None:
        sizes = read_sizes(Path(start))
        if base.recipe == CONTINUE:
            return sizes
        return replace(base.model, vocab_size=sizes.vocab_size, max_position=sizes.max_position)
    schema = given.text("schema")
    data = replace(
        base, data=Path(given.text("data") or base.data), schema=base.schema if schema is None else Path(schema)
    )
    return _sizes_of_data(data)


def _sizes_of_data(config: PretrainConfig) -> BertConfig:
    """The network's sizes with those of the data, as far as they are known; where the data cannot be read, the run will say why."""
    model = config.model
    try:
        folder = open_folder(config.data, "train", config.schema, quiet=True)
        words = vocabulary_of(config.data)
        if folder.manifest is not None:
            model = replace(model, vocab_size=folder.manifest.vocab_size)
        elif words is not None:
            model = replace(model, vocab_size=len(read_vocabulary(words)))
    except (DataError, OSError):
        return model
    longest = folder.schema.max_seq_length
    if RECIPES[config.recipe].has_published_sizes:
        longest = max(longest, model.max_position)
    return replace(model, max_position=longest)
