"""What `transformers` reads a tokenizer from: tokenizer.json (made by the library `tokenizers`) and tokenizer_config.json."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece

from bert_thor.data.text.vocabulary import LONGEST_WORD, Vocabulary
from bert_thor.errors import ConvertError
from bert_thor.files import read_json_object, write_json

TOKENIZER, TOKENIZER_CONFIG = "tokenizer.json", "tokenizer_config.json"
_SPECIAL = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}


def write_tokenizer(folder: Path, vocabulary: Vocabulary, max_position: int) -> None:
    """Write both files into the existing `folder`: BERT's tokenizer, which lower-cases unless the vocabulary is cased."""
    tokenizer = _tokenizer(vocabulary)
    (folder / TOKENIZER).write_text(tokenizer.to_str(pretty=True) + "\n", encoding="utf-8")
    config = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": not vocabulary.cased,
        "strip_accents": None,
        "tokenize_chinese_chars": True,
        "model_max_length": max_position,
        **_SPECIAL,
    }
    write_json(folder / TOKENIZER_CONFIG, config)


def read_cased(folder: Path) -> Optional[bool]:
    """Whether the tokenizer beside a model keeps capitals; None where it does not say. Errors: `ConvertError`."""
    path = folder / TOKENIZER_CONFIG
    if not path.is_file():
        return None
    lower = read_json_object(path, ConvertError).get("do_lower_case")
    return not lower if isinstance(lower, bool) else None


def _tokenizer(vocabulary: Vocabulary) -> Tokenizer:
    numbers = {piece: number for number, piece in enumerate(vocabulary.pieces)}
    tokenizer = Tokenizer(WordPiece(numbers, unk_token="[UNK]", max_input_chars_per_word=LONGEST_WORD))
    tokenizer.add_special_tokens(list(_SPECIAL.values()))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=not vocabulary.cased)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = (("[SEP]", numbers["[SEP]"]), ("[CLS]", numbers["[CLS]"]))
    tokenizer.post_processor = processors.BertProcessing(*ends)
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    return tokenizer
