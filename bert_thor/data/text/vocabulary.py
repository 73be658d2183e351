"""WordPiece vocabulary: trained, read, written, and applied to text."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.trainers import WordPieceTrainer

from bert_thor.data.errors import DataError
from bert_thor.data.text.basic_tokenizer import basic_tokenize

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LONGEST_WORD = 200  # characters; longer words are [UNK], as in BERT
_CONTINUATION = "##"
_MIN_FREQUENCY = 2  # a pair of pieces is merged if it occurs at least this often
_LARGEST_ALPHABET = 1000
_WORDS_PER_LINE = 1000
_LARGEST_VOCABULARY_BYTES = 1 << 26


@dataclass(frozen=True)
class Vocabulary:
    """The word pieces in the order of their numbers.

    Attributes:
        pieces: every piece once; [PAD] is number 0, because rows are padded with zeros.

    Errors: DataError if a special token is missing, a piece occurs twice, or [PAD] is not the first.
    """

    pieces: tuple[str, ...]
    _model: WordPiece = field(init=False, repr=False, compare=False)
    _words: dict[str, list[int]] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        numbers = {piece: number for number, piece in enumerate(self.pieces)}
        missing = [token for token in SPECIAL_TOKENS if token not in numbers]
        if missing:
            raise DataError(f"the vocabulary has no {', '.join(missing)}; BERT needs {' '.join(SPECIAL_TOKENS)}.")
        if len(numbers) != len(self.pieces):
            twice = next(piece for piece, count in Counter(self.pieces).items() if count > 1)
            raise DataError(f"the vocabulary has {twice!r} more than once.")
        if self.pieces[0] != "[PAD]":
            raise DataError(
                f"the vocabulary starts with {self.pieces[0]!r}, expected [PAD], because rows are padded with zeros."
            )
        model = WordPiece(
            numbers, unk_token="[UNK]", max_input_chars_per_word=LONGEST_WORD, continuing_subword_prefix=_CONTINUATION
        )
        object.__setattr__(self, "_model", model)

    def __len__(self) -> int:
        return len(self.pieces)

    def number(self, piece: str) -> int:
        """Number of a piece; KeyError if there is none."""
        number = self._model.token_to_id(piece)
        if number is None:
            raise KeyError(piece)
        return int(number)

    def encode(self, text: str) -> list[int]:
        """Piece numbers of `text`: basic tokenisation, then greedy longest match first; each distinct word is matched
        once."""
        numbers: list[int] = []
        known = self._words
        for word in basic_tokenize(text):
            pieces = known.get(word)
            if pieces is None:
                pieces = known[word] = [piece.id for piece in self._model.tokenize(word)]
            numbers += pieces
        return numbers

    def write(self, path: Path) -> None:
        """Write `vocab.txt`: one piece per line, the line number is the piece's number."""
        with open(path, "x", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{piece}\n" for piece in self.pieces)
            file.flush()
            os.fsync(file.fileno())


def read_vocabulary(path: Path) -> Vocabulary:
    """Read a `vocab.txt`, for example BERT's own. Errors: DataError naming the file and the reason."""
    try:
        if path.stat().st_size > _LARGEST_VOCABULARY_BYTES:
            raise DataError(f"it is larger than {_LARGEST_VOCABULARY_BYTES} bytes.")
        text = path.read_bytes().decode("utf-8")
        return Vocabulary(tuple(line.strip() for line in text.removesuffix("\n").split("\n")))
    except OSError as error:
        raise DataError(f"cannot read the vocabulary {path}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: this is not UTF-8 text.") from None
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def count_words(texts: Iterable[str]) -> Counter[str]:
    """How often each word of the basic tokenisation occurs."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(basic_tokenize(text))
    return counts


def train_vocabulary(counts: Mapping[str, int], size: int) -> Vocabulary:
    """Train `size` word pieces on counted words with the library `tokenizers`.

    The library numbers the characters inside words in the order of a hash table that differs from process to process,
    and breaks ties between merges by these numbers. They are therefore given to it beforehand, in sorted order: same
    counts, same vocabulary.

    Errors: DataError if the words do not yield `size` pieces.
    """
    # A large vocabulary spends at most an eighth on single characters, a small one must still spell its text.
    alphabet = _alphabet(counts, min(_LARGEST_ALPHABET, max(size // 16, min(64, size // 3))))
    words = {
        word: count for word, count in sorted(counts.items()) if len(word) <= LONGEST_WORD and alphabet.issuperset(word)
    }
    inside = sorted({_CONTINUATION + character for word in words for character in word[1:]})
    trainer = WordPieceTrainer(
        vocab_size=size, min_frequency=_MIN_FREQUENCY, special_tokens=[*SPECIAL_TOKENS, *inside], show_progress=False
    )
    tokenizer = Tokenizer(WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.train_from_iterator(_repeated(words), trainer)
    numbers = tokenizer.get_vocab(with_added_tokens=False)
    if len(numbers) != size:
        raise DataError(
            f"the text yields {len(numbers)} word pieces, not {size}; set the vocabulary size to {len(numbers)}, "
            "or add text."
        )
    return Vocabulary(tuple(sorted(numbers, key=numbers.__getitem__)))


def _alphabet(counts: Mapping[str, int], size: int) -> set[str]:
    """The `size` most frequent characters; among equally frequent ones the smaller code point."""
    characters: Counter[str] = Counter()
    for word, count in counts.items():
        for character in word:
            characters[character] += count
    return set(sorted(characters, key=lambda character: (-characters[character], character))[:size])


def _repeated(words: Mapping[str, int]) -> Iterator[str]:
    """Each word as often as it was counted, in lines of limited length."""
    for word, count in words.items():
        for done in range(0, count, _WORDS_PER_LINE):
            yield " ".join([word] * min(_WORDS_PER_LINE, count - done))
