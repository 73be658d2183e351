"""The pieces are those of the library `tokenizers`, to which every word is repeated as often as it was counted."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.trainers import WordPieceTrainer

from bert_thor.data.text.word_piece_training import CONTINUATION, train_pieces

SPECIAL = ["[PAD]", "[UNK]"]


def library_pieces(words: dict[str, int], size: int) -> list[str]:
    """The library numbers characters inside words in the order of a hash table; as special tokens they are in ours."""
    inside = sorted({CONTINUATION + character for word in words for character in word[1:]})
    trainer = WordPieceTrainer(
        vocab_size=size, min_frequency=2, special_tokens=[*SPECIAL, *inside], show_progress=False
    )
    tokenizer = Tokenizer(WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.train_from_iterator((" ".join([word] * count) for word, count in words.items()), trainer)
    numbers = tokenizer.get_vocab(with_added_tokens=False)
    return sorted(numbers, key=numbers.__getitem__)


@pytest.mark.parametrize("letters", ("ab", "abcde", "abcdefghijklmnop"))
@pytest.mark.parametrize("seed", range(4))
def test_pieces_are_those_of_the_library(letters: str, seed: int) -> None:
    """Few letters give words such as `aaaa`, and pieces that come about in more than one way."""
    generator = random.Random(seed)
    words: Counter[str] = Counter()
    for _ in range(1500):
        words["".join(generator.choices(letters, k=generator.randint(1, 9)))] += generator.randint(1, 20)
    ordered = dict(sorted(words.items()))
    size = 50 + 150 * seed
    pieces = train_pieces(ordered, SPECIAL, size)
    assert pieces == library_pieces(ordered, size)
    assert len(pieces) == size or (letters, size) == ("ab", 500)  # two letters do not give as many


def test_there_may_be_fewer_pieces_than_asked_for() -> None:
    words = {"ab": 5, "abc": 3}
    assert train_pieces(words, SPECIAL, 100) == library_pieces(words, 100)
    assert train_pieces({}, SPECIAL, 100) == SPECIAL
