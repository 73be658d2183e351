"""The original's options with their names and defaults, and the run that they describe."""

from __future__ import annotations

import pytest

from bert_thor.errors import ConfigError
from bert_thor.original.options import EpochNames, OriginalOptions, parse_options, pretrain_config, steps_of
from bert_thor.recipes import PretrainConfig


def test_the_table_of_options_and_its_defaults() -> None:
    expected = {
        "device_target": "Ascend",
        "distribute": "false",
        "epoch_size": 1,
        "enable_save_ckpt": "true",
        "enable_lossscale": "false",
        "do_shuffle": "true",
        "save_checkpoint_path": "",
        "load_checkpoint_path": "",
        "train_steps": -1,
        "device_id": 4,
        "enable_data_sink": "true",
        "data_sink_steps": 100,
        "save_checkpoint_steps": 1000,
        "save_checkpoint_num": 1,
    }
    options = vars(parse_options([], {}))
    assert {name: options[name] for name in expected} == expected
    assert parse_options(["--device_id=2", "--do_shuffle", "false"], {}) == OriginalOptions(
        device_id=2, do_shuffle="false"
    )
    assert parse_options([], {"DEVICE_TARGET": "CPU"}).device_target == "CPU"


@pytest.mark.parametrize(
    ("change", "fragment"),
    [
        ({"distribute": "yes"}, "distribute is 'yes': write true or false"),
        ({"epoch_size": 0}, "epoch_size is 0"),
        ({"train_steps": 0}, "train_steps is 0"),
        ({"enable_lossscale": "on"}, "enable_lossscale is 'on': write true or false"),
        ({"data_dir": ""}, "data_dir is empty"),
        ({"distribute": "true", "device_num": 8}, "device_num 8, but 1 process was started"),
        ({"save_checkpoint_num": 0}, "save_checkpoint_num is 0"),
        ({"device_id": -1}, "device_id is -1"),
    ],
)
def test_impossible_options(change: dict[str, object], fragment: str) -> None:
    values = {"data_dir": "data", **change}
    with pytest.raises(ConfigError) as error:
        OriginalOptions(**values).check(launched=1)  # type: ignore[arg-type]
    assert fragment in str(error.value)


def test_data_sink_reads_ahead() -> None:
    prefetch = {
        sink: pretrain_config(OriginalOptions(data_dir="data", enable_data_sink=sink), 1, {}).prefetch
        for sink in ("true", "false")
    }
    assert prefetch == {"true": PretrainConfig().prefetch, "false": 0} and prefetch["true"] > 0


def test_loss_scaling_is_dynamic_or_off() -> None:
    scales = {
        (enabled, extra): pretrain_config(
            OriginalOptions(data_dir="data", enable_lossscale=enabled), 1, {"BERT_THOR_OPTIONS": extra}
        ).optimizer.loss_scale
        for enabled in ("true", "false")
        for extra in ("", "--optimizer thor-2021", "--loss-scale 8")
    }
    assert [scales["true", extra] for extra in ("", "--optimizer thor-2021", "--loss-scale 8")] == ["dynamic"] * 2 + [
        8.0
    ]
    assert [scales["false", extra] for extra in ("", "--optimizer thor-2021", "--loss-scale 8")] == [1.0, 1.0, 8.0]


def test_epochs_are_sink_chunks() -> None:
    names = EpochNames(1000)
    assert names.checkpoint(3000) == "checkpoint_bert-3_1000.ckpt" and names.checkpoint(1) == "checkpoint_bert-1_1.ckpt"
    assert [names.epoch(step) for step in (1, 1000, 1001, 2001, 2500)] == [1, 1, 2, 3, 3]


def test_steps_from_epochs_and_train_steps() -> None:
    assert steps_of(OriginalOptions(epoch_size=2), rows=451, batch_size=8) == 112
    assert steps_of(OriginalOptions(epoch_size=2, train_steps=100), rows=451, batch_size=8) == 100
    assert steps_of(OriginalOptions(train_steps=3000), rows=451, batch_size=8) == 56
    with pytest.raises(ConfigError, match="fewer than one step"):
        steps_of(OriginalOptions(), rows=7, batch_size=8)
