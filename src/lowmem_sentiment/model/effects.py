"""The effect of each word or n-gram of a review on a model's prediction."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..text.vocabulary import FIRST_WORD_ID, START_ID, Vocabulary
from .numpy_model import NumpyModel


@dataclass(frozen=True)
class Effect:
    """The effect of a word in a text."""

    word: str
    effect: float
    """How much lower the log-odds of the predicted label are when the word is left out: above 0
    for a word that counts for the label, below 0 for one that counts against it."""
    ngrams: list[str] | None = None
    """For a model that reads n-grams: the n-grams with the word, which are left out with it."""

    def to_json(self) -> dict[str, Any]:
        """Return the effect as JSON; "ngrams" only for a model that reads them."""
        ngrams = {} if self.ngrams is None else {"ngrams": self.ngrams}
        return {"word": self.word, "effect": self.effect, **ngrams}


def strongest(effects: list[Effect], towards: int, against: int) -> tuple[list[Effect], list[Effect]]:
    """Return the strongest of a text's effects, at most so many for and against the label, in order."""
    found = [effect for effect in effects if effect.effect > 0][:towards]
    other = [effect for effect in effects if effect.effect < 0]
    return found, other[max(0, len(other) - against) :]


def word_effects(
    model: NumpyModel, vocabulary: Vocabulary, ids: np.ndarray, label: int, unknown: str = "#"
) -> list[Effect]:
    """Return the effect of each of a review's distinct `ids`, from most for the label to most against it.

    The start of the review is not a word. With n-grams there is also one for each word in them: a word is
    left out everywhere, with every n-gram that contains it; the words around it do not become neighbours.
    An IMDb review has 230 n-grams of 100,000: [sets, units] is 60 KB.
    """
    if model.reads_ngrams:
        names = [vocabulary.words[id_ - FIRST_WORD_ID] for id_ in ids.tolist()]
        items: dict[bytes, list[int]] = {name: [] for name in names}
        items.update((word, []) for name in names for word in name.split(b" "))
        for nth, name in enumerate(names):
            for part in _parts(name) & items.keys():
                items[part].append(nth)
        left_out = list(items.values())
        words = [item.decode("utf-8", "replace") for item in items]
        texts = [name.decode("utf-8", "replace") for name in names]
        ngrams: list[Any] = [[texts[nth] for nth in places] for places in left_out]
    else:
        left_out = np.flatnonzero(ids != START_ID)[:, None].tolist()
        words = [vocabulary.decode([ids[nth]], unknown) for [nth] in left_out]
        ngrams = [None] * len(words)
    counts = np.array([len(places) for places in left_out], np.int64)
    flat = np.array([nth for places in left_out for nth in places], np.int64)
    effects = model.effects_of(ids, label, flat, counts).tolist()
    found = map(Effect, words, effects, ngrams)
    return sorted(found, key=lambda each: (-each.effect, each.word))


def _parts(ngram: bytes) -> set[bytes]:
    """Return the n-gram, its words, and the n-grams between."""
    words = ngram.split(b" ")
    ends = range(len(words) + 1)
    return {b" ".join(words[first:end]) for end in ends for first in range(end)}
