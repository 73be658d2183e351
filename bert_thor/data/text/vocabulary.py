"""WordPiece vocabulary: trained, read, written, and applied to text."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tokenizers.models import WordPiece

from bert_thor.data.errors import DataError
from bert_thor.data.text.basic_tokenizer import basic_tokenize
from bert_thor.data.text.word_piece_training import CONTINUATION, train_pieces

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LONGEST_WORD = 200  # characters; longer words are [UNK], as in BERT
_LARGEST_ALPHABET = 1000
_REMEMBERED_WORDS = 1 << 20  # with their pieces, about 200 MB; an English text of 100 MB has half as many
_LARGEST_VOCABULARY_BYTES = 1 << 26


@dataclass(frozen=True)
class Vocabulary:
    """The word pieces in the order of their numbers.

    Attributes:
        pieces: every piece once; [PAD] is number 0, because rows are padded with zeros.
        cased: whether text keeps its capitals and accents.

    Errors: DataError if a special token is missing, a piece occurs twice, or [PAD] is not the first.
    """

    pieces: tuple[str, ...]
    cased: bool = False
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
            numbers, unk_token="[UNK]", max_input_chars_per_word=LONGEST_WORD, continuing_subword_prefix=CONTINUATION
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
        for word in basic_tokenize(text, self.cased):
            pieces = known.get(word)
            if pieces is None:
                pieces = self._match(word)
            numbers += pieces
        return numbers

    def _match(self, word: str) -> list[int]:
        if len(self._words) >= _REMEMBERED_WORDS:
            self._words.clear()
        pieces = self._words[word] = [piece.id for piece in self._model.tokenize(word)]
        return pieces

    @property
    def has_capitals(self) -> bool:
        """Whether a piece other than those in [brackets] holds a capital letter: then the vocabulary is for cased text."""
        return any(piece != piece.lower() for piece in self.pieces if not piece.startswith("["))

    @property
    def continues(self) -> bytes:
        """For every piece, 1 if it goes on with the word before it."""
        return bytes(piece.startswith(CONTINUATION) for piece in self.pieces)

    def write(self, path: Path) -> None:
        """Write `vocab.txt`: one piece per line, the line number is the piece's number."""
        with open(path, "x", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{piece}\n" for piece in self.pieces)
            file.flush()
            os.fsync(file.fileno())


def fits_table(pieces: int, rows: int) -> bool:
    """Whether a token table of `rows` rows belongs to a vocabulary of `pieces`: as many, or a few more, up to a multiple of 8.

    Networks are often padded to a multiple of 8, 64 or 128 rows, for speed; no text ever has the numbers of the rows that are added.
    """
    return rows == pieces or (rows % 8 == 0 and pieces < rows < pieces + 128)


def read_vocabulary(path: Path, cased: bool = False) -> Vocabulary:
    """Read a `vocab.txt`, for example BERT's own. Errors: DataError naming the file and the reason."""
    try:
        if path.stat().st_size > _LARGEST_VOCABULARY_BYTES:
            raise DataError(f"it is larger than {_LARGEST_VOCABULARY_BYTES} bytes.")
        text = path.read_bytes().decode("utf-8")
        return Vocabulary(tuple(line.strip() for line in text.removesuffix("\n").split("\n")), cased)
    except OSError as error:
        raise DataError(f"cannot read the vocabulary {path}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: this is not UTF-8 text.") from None
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def count_words(texts: Iterable[str], cased: bool = False) -> Counter[str]:
    """How often each word of the basic tokenisation occurs."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(basic_tokenize(text, cased))
    return counts


def train_vocabulary(counts: Mapping[str, int], size: int, cased: bool = False) -> Vocabulary:
    """Train `size` word pieces on counted words; same counts, same vocabulary.

    Errors: DataError if the words do not yield `size` pieces.
    """
    # A large vocabulary spends at most an eighth on single characters, a small one must still spell its text.
    alphabet = _alphabet(counts, min(_LARGEST_ALPHABET, max(size // 16, min(64, size // 3))))
    words = {
        word: count for word, count in sorted(counts.items()) if len(word) <= LONGEST_WORD and alphabet.issuperset(word)
    }
    pieces = train_pieces(words, SPECIAL_TOKENS, size)
    if len(pieces) != size:
        raise DataError(
            f"the text yields {len(pieces)} word pieces, not {size}; set the vocabulary size to {len(pieces)}, "
            "or add text."
        )
    return Vocabulary(tuple(pieces), cased)


def _alphabet(counts: Mapping[str, int], size: int) -> set[str]:
    """The `size` most frequent characters; among equally frequent ones the smaller code point."""
    characters: Counter[str] = Counter()
    for word, count in counts.items():
        for character in word:
            characters[character] += count
    return set(sorted(characters, key=lambda character: (-characters[character], character))[:size])
