"""Which tokens of a row are to be predicted, and what is shown in their place."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Optional

from bert_thor.data.text.random_numbers import below, shuffle

_MASK_PROBABILITY = 0.8
_KEEP_PROBABILITY = 0.5  # of the rest; the other half is a random token: 80/10/10


@dataclass(frozen=True)
class Masking:
    """The numbers behind the rules.

    Attributes:
        max_predictions_per_seq: most tokens to predict in a row.
        masked_lm_prob: share of the tokens of a row to predict.
        vocab_size, cls_id, sep_id, mask_id: of the vocabulary.
        continues: for every token, whether it goes on with the word before it; given, whole words are masked.
    """

    max_predictions_per_seq: int
    masked_lm_prob: float
    vocab_size: int
    cls_id: int
    sep_id: int
    mask_id: int
    continues: Optional[bytes] = None

    def choose(self, tokens: list[int], separator: int, generator: random.Random) -> list[int]:
        """Random places, not of [CLS] or [SEP]: round(masked_lm_prob * length), at least 1, at most max_predictions_per_seq.

        `separator` is the place of the first [SEP]; the other is the last token.
        """
        count = min(self.max_predictions_per_seq, max(1, round(len(tokens) * self.masked_lm_prob)))
        places = [*range(1, separator), *range(separator + 1, len(tokens) - 1)]
        if self.continues is not None:
            return self._choose_words(tokens, places, separator, count, generator)
        shuffle(places, generator)
        return places[:count]

    def replace(self, tokens: list[int], places: Iterable[int], generator: random.Random) -> None:
        """[MASK] for 80 % of the places, the token itself for 10 %, a random entry of the vocabulary for 10 %."""
        draw = generator.random
        for place in places:
            if draw() < _MASK_PROBABILITY:
                tokens[place] = self.mask_id
            elif draw() >= _KEEP_PROBABILITY:
                tokens[place] = below(self.vocab_size, generator)

    def _choose_words(
        self, tokens: list[int], places: list[int], separator: int, count: int, generator: random.Random
    ) -> list[int]:
        """Random words, all pieces of each, as long as they fit into `count` (BERT's "whole word masking", 2019).

        A word that alone has more pieces than `count` is never chosen; if no other is there, its first pieces are.
        """
        assert self.continues is not None
        words: list[list[int]] = []
        for place in places:
            if words and self.continues[tokens[place]] and place != separator + 1:
                words[-1].append(place)
            else:
                words.append([place])
        shuffle(words, generator)
        chosen: list[int] = []
        for word in words:
            if len(chosen) + len(word) <= count:
                chosen += word
        return chosen or words[0][:count]
