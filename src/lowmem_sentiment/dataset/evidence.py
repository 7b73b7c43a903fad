"""How surely a word or an n-gram tells a label from the others: the z-score of its log-odds ratio."""

import numpy as np

PRIOR = 1_000
"""How much of the whole data each label is given beforehand: words where words are counted, reviews where
reviews are, so that what was seen twice cannot lean further than what was seen a thousand times."""


def log_odds_ratio(
    here: np.ndarray, whole: np.ndarray, total_here: float, total: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return float64[n] log-odds ratio of one label against the rest, and its z-score.

    `here` int[n] is how often each occurs with the label and `whole` with any, of `total_here` and
    `total` there could be. The prior is an informative Dirichlet one, and the z-score is the ratio over
    its estimated deviation (Monroe, Colaresi and Quinn 2008, "Fightin' Words", equations 16, 20 and
    22). What never occurs has a z-score of 0.
    """
    prior = whole * (PRIOR / max(1.0, total))
    own, other = here + prior, whole - here + prior
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = np.log(own / (total_here + PRIOR - own)) - np.log(
            other / (total - total_here + PRIOR - other)
        )
        score = odds / np.sqrt(1 / own + 1 / other)
    score[~np.isfinite(score)] = 0
    return odds, score
