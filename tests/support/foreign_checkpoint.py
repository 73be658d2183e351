"""The fixture's weights as folders of others, changed on purpose, and the refusal of what does not fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from bert_thor.convert.command import ConvertConfig, convert
from bert_thor.network.sizes import BertConfig

FIXTURE = Path(__file__).parents[1] / "fixtures" / "bert.safetensors"
SIZES = dict(vocab_size=97, hidden_size=32, num_layers=3, num_heads=4, intermediate_size=80, max_position=24)
CONFIG = BertConfig(**SIZES, hidden_dropout=0.0, attention_dropout=0.0)
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"piece{number}" for number in range(92))]
TOKEN_TABLE = "bert.embeddings.word_embeddings.weight"
FIRST_NORM = "bert.embeddings.LayerNorm"


def fixture_weights() -> dict[str, np.ndarray]:
    """The weights of a BertForPreTraining as `transformers` saves them."""
    return {name[7:]: value for name, value in load_file(FIXTURE).items() if name.startswith("weight/")}


def write_huggingface_folder(folder: Path) -> Path:
    """A folder as `transformers` saves it."""
    folder.mkdir()
    with safe_open(FIXTURE, "numpy") as file:
        (folder / "config.json").write_text(file.metadata()["config"])
    save_file(fixture_weights(), folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES))
    return folder


def change_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def change_weights(folder: Path, change: Callable[[dict[str, np.ndarray]], object]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")


def assert_refused(error: type[Exception], words: str, source: Path, output: Path) -> None:
    """The conversion fails with a sentence that has `words`, and neither `output` nor anything else appears."""
    before = sorted(output.parent.iterdir())
    with pytest.raises(error, match=words) as refusal:
        convert(ConvertConfig(source, output))
    assert "\n" not in str(refusal.value) and sorted(output.parent.iterdir()) == before
