import numpy as np
import pytest

from lowmem_sentiment.model.metrics import (
    SCORE_BINS,
    area_under_roc,
    precision_recall,
    score_bins,
    to_confusion_matrix,
)


@pytest.fixture
def scored():
    """Labels, scores (some of them 0, 0.5 and 1), and their counts by bin."""
    generator = np.random.default_rng(3)
    labels = generator.integers(0, 2, 500)
    scores = np.clip(generator.normal(0.4 + 0.2 * labels, 0.3), 0, 1).astype(np.float32)
    scores[:5] = 0.5
    bins = np.zeros((2, SCORE_BINS), np.int64)
    np.add.at(bins, (labels, score_bins(scores)), 1)
    return labels, scores, bins


def test_half_is_the_edge_between_the_labels(scored):
    labels, scores, bins = scored
    said = scores > 0.5
    expected = [[np.sum((labels == true) & (said == guess)) for guess in (0, 1)] for true in (0, 1)]
    assert to_confusion_matrix(bins).tolist() == expected


def test_the_area_is_the_share_of_pairs_in_the_right_order(scored):
    labels, scores, bins = scored
    positive, negative = scores[labels == 1][:, None], scores[labels == 0][None]
    pairs = (positive > negative).mean() + (positive == negative).mean() / 2
    assert area_under_roc(bins) == pytest.approx(pairs, abs=1e-3)
    assert area_under_roc(np.zeros_like(bins)) == 0


def test_the_precision_recall_curve_is_counted_above_each_threshold(scored):
    labels, scores, bins = scored
    curve = precision_recall(bins, 4)
    for nth, threshold in enumerate([-1, 0.25, 0.5, 0.75, 1]):
        said = scores > threshold
        right = np.sum(said & (labels == 1))
        assert curve["true_positives"][nth] == right
        assert curve["false_positives"][nth] == np.sum(said & (labels == 0))
        assert curve["true_negatives"][nth] == np.sum(~said & (labels == 0))
        assert curve["recall"][nth] == right / np.sum(labels)
        assert curve["precision"][nth] == (right / said.sum() if said.any() else 1)
