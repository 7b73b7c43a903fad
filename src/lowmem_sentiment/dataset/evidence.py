"""How surely a word or an n-gram indicates a label: the z-score of its log-odds ratio."""

import numpy as np

PRIOR_WORDS = 1_000
"""How many words of the whole data each label starts with, so that a word seen twice cannot lean
further than one seen a thousand times."""

# The same for counts of reviews, as a share of all. With this share, 100,000 n-grams of 1 to 3 words
# reach an accuracy of 0.9236 on unseen validation reviews of IMDb (5 seeds); a thirtieth of it gives
# 0.9206, ten times as much 0.9201.
PRIOR_SHARE_OF_REVIEWS = 0.25


def log_odds_ratio(
    here: np.ndarray, whole: np.ndarray, total_here: float, total: float, prior: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return float64[n] log-odds ratio of one label against the rest, and its z-score.

    `here` int[n] is how often each occurs with the label and `whole` with any, out of `total_here` and
    `total`. The prior is an informative Dirichlet prior with a weight of `prior`, and the z-score is the
    ratio over its estimated deviation (Monroe, Colaresi and Quinn 2008, "Fightin' Words", equations 16,
    20 and 22). The z-score of a word that never occurs is 0.
    """
    given = whole * (prior / max(1.0, total))
    own, other = here + given, whole - here + given
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = np.log(own / (total_here + prior - own)) - np.log(
            other / (total - total_here + prior - other)
        )
        score = odds / np.sqrt(1 / own + 1 / other)
    score[~np.isfinite(score)] = 0
    return odds, score


def review_evidence(
    here: np.ndarray, whole: np.ndarray, reviews_here: float, reviews: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return `log_odds_ratio` for counts of reviews: `here` of the label's `reviews_here`."""
    return log_odds_ratio(here, whole, reviews_here, reviews, PRIOR_SHARE_OF_REVIEWS * reviews)


def log_count_ratios(here: np.ndarray, whole: np.ndarray, share: float) -> np.ndarray:
    """Return float64[n], how much more often n-grams occur in reviews of one label than of the others.

    `here` int[n] is the number of reviews with the label, `whole` with any, and `share` the label's share
    of all reviews. It is Wang and Manning's log-count ratio (2012, "Baselines and Bigrams", section 2.1)
    with one review added on the rarer side, and the proportional number on the other. So an n-gram
    without evidence has 0 even with uneven labels, and one in a single review has little.
    """
    added = 1 / min(share, 1 - share)
    own, other = here + added * share, whole - here + added * (1 - share)
    ratios: np.ndarray = np.log(own / share) - np.log(other / (1 - share))
    return ratios
