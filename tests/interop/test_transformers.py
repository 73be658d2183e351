"""`transformers` loads what we export and computes what we compute, without a warning; and we read what it saves."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from foreign_checkpoint import write_huggingface_folder
from mindspore import Tensor
from synthetic_data import WORDS, prepare_small

from bert_thor.cli import main
from bert_thor.compat import use_graph_mode
from bert_thor.convert.command import ConvertConfig, convert, read_source
from bert_thor.data.text.vocabulary import Vocabulary, read_vocabulary
from bert_thor.network.model import BertForPreTraining, dropout_seed
from bert_thor.training.parameters import assign, weights

pytestmark = pytest.mark.interop

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-interop" / "bin" / "python"
TOLERANCE = 1e-4
"""Largest difference of a fill-mask score, a probability."""


def in_transformers(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the other environment's half; whatever it writes to stderr is a warning."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "default"}
    command = [str(PYTHON), str(Path(__file__).with_name("in_transformers.py")), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done


def our_scores(run: Path, text: str) -> tuple[np.ndarray, np.ndarray]:
    """Our numbers of `text`, and the probabilities [P, V] of every piece at each [MASK] of it, in float64."""
    source = read_source(run)
    assert source.vocabulary is not None
    pieces = read_vocabulary(source.vocabulary)
    vocabulary = Vocabulary(pieces.pieces, source.cased or False)
    parts = [vocabulary.encode(part) for part in text.split("[MASK]")]
    ids = [vocabulary.number("[CLS]"), *parts[0]]
    for part in parts[1:]:
        ids += [vocabulary.number("[MASK]"), *part]
    ids.append(vocabulary.number("[SEP]"))
    row = np.array([ids], np.int32)
    places = np.flatnonzero(row[0] == vocabulary.number("[MASK]"))[None].astype(np.int32)
    use_graph_mode("CPU")
    model = BertForPreTraining(source.model.config)
    assign(weights(model), source.model.parameters, run)
    model.set_train(False)
    inputs = (row, np.ones_like(row), np.zeros_like(row), places)
    products, bias, _ = model(*(Tensor(array) for array in inputs), dropout_seed(0, 0))
    logits = products.asnumpy().astype(np.float64) + bias.asnumpy()
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return row[0], powers / powers.sum(-1, keepdims=True)


def assert_same(run: Path, text: str, folder: Path) -> np.ndarray:
    """Export `run`; transformers loads it silently and gives the same numbers and scores. Returns the scores."""
    convert(ConvertConfig(run, folder))
    done = in_transformers("scores", folder, text, folder.with_suffix(".npz"))
    assert not done.stderr and not done.stdout, done.stderr + done.stdout
    theirs = np.load(folder.with_suffix(".npz"))
    ids, ours = our_scores(run, text)
    assert (ids == theirs["ids"]).all()
    assert ours.shape == theirs["scores"].shape and np.abs(ours - theirs["scores"]).max() <= TOLERANCE
    return ours


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has learnt something of its text."""
    folder = tmp_path_factory.mktemp("trained")
    sizes = "--vocab-size 100 --max-position 32 --hidden-size 24 --num-heads 2 --num-layers 1 --intermediate-size 40"
    options = ["--data", str(prepare_small(folder)), "--run", str(folder / "run"), "--steps", "40", "--batch-size", "8"]
    assert main(["pretrain", "--recipe", "demo", *options, *sizes.split()]) == 0
    return folder / "run"


def test_a_trained_run(trained: Path, tmp_path: Path) -> None:
    text = f"{WORDS[3]} [MASK] {WORDS[5]}, Café {WORDS[9].upper()} [MASK]."
    scores = assert_same(trained, text, tmp_path / "exported")
    assert scores.max() > 2 / 100  # it is not the uniform guess that is compared


def test_a_public_encoder_with_a_fresh_head(tmp_path: Path) -> None:
    """The network of real size: 6 layers of 384, 30,522 word pieces."""
    encoder = Path(in_transformers("encoder").stdout.strip())
    convert(ConvertConfig(encoder, tmp_path / "run"))
    assert_same(tmp_path / "run", "The capital of France is [MASK].", tmp_path / "exported")


@pytest.mark.parametrize(
    ("name", "fresh"),
    [
        ("BertForPreTraining", ()),
        ("BertForMaskedLM", ("pooler", "next-sentence head")),
        ("BertModel", ("masked-LM head", "next-sentence head")),
    ],
)
def test_what_transformers_saves(tmp_path: Path, name: str, fresh: tuple[str, ...]) -> None:
    """As each class, in bfloat16, in several files with an index."""
    source = write_huggingface_folder(tmp_path / "source")
    in_transformers("save", source, name, tmp_path / "saved")
    assert (tmp_path / "saved" / "model.safetensors.index.json").is_file()
    whole, found = read_source(source).model.parameters, read_source(tmp_path / "saved").model
    assert found.fresh == fresh
    for parameter in ("bert.embedding.token_table", "bert.layers.2.attention.qkv.weight"):
        assert np.abs(found.parameters[parameter] - whole[parameter]).max() <= 2**-8 * np.abs(whole[parameter]).max()
