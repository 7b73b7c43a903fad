"""What words and n-grams do in a review to a model of n-grams."""

from typing import NamedTuple

import numpy as np

from ..text.vocabulary import FIRST_WORD_ID, Vocabulary
from .numpy_model import NumpyModel


class NgramEffect(NamedTuple):
    """What leaving out a word, or an n-gram, does."""

    words: str
    effect: float
    """How much lower the log-odds of the label are without it."""
    left_out: list[str]
    """The n-grams that go with it: those that hold its words, itself among them where it is one."""


def ngram_effects(
    model: NumpyModel, vocabulary: Vocabulary, ids: np.ndarray, label: int
) -> list[NgramEffect]:
    """Return the effect of each n-gram of a review's distinct `ids`, and of each word in one of them.

    A word is left out wherever it stands, and with it every n-gram that it is in; what stood before it
    and after it does not become neighbours. An IMDb review has 230 n-grams of 100,000: [sets, units] is
    60 KB.
    """
    names = [vocabulary.words[id_ - FIRST_WORD_ID] for id_ in ids.tolist()]
    padded = [b" %b " % name for name in names]
    items = dict.fromkeys(names) | dict.fromkeys(word for name in names for word in name.split(b" "))
    left_out = [[nth for nth, name in enumerate(padded) if b" %b " % item in name] for item in items]
    counts = np.array([len(places) for places in left_out], np.int64)
    flat = np.array([nth for places in left_out for nth in places], np.int64)
    effects = model.effects_of(ids, label, flat, counts)
    texts = [name.decode("utf-8", "replace") for name in names]
    return [
        NgramEffect(item.decode("utf-8", "replace"), effect, [texts[nth] for nth in places])
        for item, effect, places in zip(items, effects.tolist(), left_out, strict=True)
    ]
