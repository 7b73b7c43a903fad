import numpy as np
import pytest

from lowmem_sentiment.evaluation.intervals import intervals, reliability, wilson
from lowmem_sentiment.evaluation.scoring import Tally
from lowmem_sentiment.model.metrics import area_under_roc


def tally_of(labels: np.ndarray, scores: np.ndarray) -> Tally:
    tally = Tally(["bad", "good"])
    tally.add(labels, np.stack([1 - scores, scores], axis=1), np.zeros(len(labels)))
    return tally


def sample(generator: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    labels = generator.integers(0, 2, count)
    return labels, np.clip(generator.normal(0.4 + 0.2 * labels, 0.25), 0, 1)


@pytest.mark.parametrize(
    ("successes", "trials", "expected"),
    [(0, 0, (0, 1)), (0, 10, (0, 0.2775)), (10, 10, (0.7225, 1)), (9, 10, (0.5958, 0.9821)),
     (8902, 10_000, (0.8839, 0.8962))],
)  # fmt: skip
def test_wilsons_interval_is_that_of_the_tables(successes, trials, expected):
    assert wilson(successes, trials) == pytest.approx(expected, abs=5e-5)


def test_intervals_are_those_of_bootstrapping_reviews():
    generator = np.random.default_rng(2)
    labels, scores = sample(generator, 800)
    found, _ = intervals(tally_of(labels, scores))
    values = {"f1": [], "auc": []}
    for _ in range(1_000):
        chosen = generator.integers(0, 800, 800)
        tally = tally_of(labels[chosen], scores[chosen])
        values["f1"].append(tally.metrics()[0]["f1"])
        values["auc"].append(area_under_roc(tally.bins))
    for name, each in values.items():
        assert found[name] == pytest.approx(np.quantile(each, [0.025, 0.975]), abs=0.006)


def test_intervals_are_the_same_each_time_and_around_their_metric():
    tally = tally_of(*sample(np.random.default_rng(5), 500))
    (found, by_label), (metrics, _) = intervals(tally), tally.metrics()
    assert (found, by_label) == intervals(tally)
    for name in ("accuracy", "precision", "f1", "auc"):
        low, high = found[name]
        assert low < metrics[name] < high
    assert found["f1"] == by_label["good"]["f1"]


def test_many_labels_get_intervals_of_each_and_of_the_means():
    generator = np.random.default_rng(6)
    tally = Tally([str(label) for label in range(40)])
    labels = generator.integers(0, 39, 2_000)  # the last is not there
    predicted = np.where(generator.random(2_000) < 0.7, labels, generator.integers(0, 40, 2_000))
    np.add.at(tally.counts, (labels, predicted), 1)
    (found, by_label), (metrics, _) = intervals(tally), tally.metrics()
    for name in ("macro_f1", "weighted_recall", "macro_precision"):
        low, high = found[name]
        assert low <= metrics[name] <= high and high - low < 0.1
    assert by_label["39"]["recall"] == [0, 1]


MEANS = [f"{kind}_{name}" for kind in ("macro", "weighted") for name in ("precision", "recall", "f1")]


def tally_of_counts(counts: np.ndarray) -> Tally:
    tally = Tally(list(map(str, range(len(counts)))))
    tally.counts += counts.astype(np.uint32)
    return tally


@pytest.mark.parametrize("reviews", [[1, 2] * 300, [1, 2, 3, 4, 5, 6, 7] * 8, [2, 1_000, 3]])
def test_means_over_rare_labels_lie_in_their_own_intervals(reviews):
    generator, size = np.random.default_rng(7), len(reviews)
    labels = np.repeat(np.arange(size), reviews)
    predicted = np.where(
        generator.random(len(labels)) < 0.8, labels, generator.integers(0, size, len(labels))
    )
    counts = np.zeros((size, size))
    np.add.at(counts, (labels, predicted), 1)
    found, metrics = intervals(tally_of_counts(counts))[0], tally_of_counts(counts).metrics()[0]
    for name in MEANS:
        low, high = found[name]
        assert low < metrics[name] < high
    assert found["weighted_recall"] == pytest.approx(found["accuracy"], abs=0.01)  # the same number


@pytest.mark.parametrize("labels", [2, 3, 600])
def test_no_interval_is_empty_where_all_reviews_are_right(labels):
    tally = tally_of_counts(np.diag([3] * labels))
    if labels == 2:
        tally.bins[[0, 1], [0, -1]] = 3
    (found, by_label), (metrics, _) = intervals(tally), tally.metrics()
    for name in ("accuracy", *(("f1", "auc") if labels == 2 else MEANS)):
        low, high = found[name]
        assert metrics[name] == high == 1 and 1 - high < 1 - low <= 0.7
    assert by_label["1"]["f1"][0] < 0.7


def test_macro_means_of_many_labels_lie_in_95_of_100_intervals():
    generator, size, held = np.random.default_rng(2), 50, dict.fromkeys(MEANS, 0)
    chances = np.eye(size) * 0.85 + np.roll(np.eye(size), 1, axis=0) * 0.1 + 0.05 / size
    for _ in range(200):
        found, _ = intervals(
            tally_of_counts(np.stack([generator.multinomial(30, row) for row in chances]))
        )
        for name in MEANS:
            held[name] += found[name][0] <= 0.851 <= found[name][1]
    assert all(180 <= each <= 199 for each in held.values()), held


@pytest.mark.slow
def test_intervals_hold_the_true_value_in_95_of_100_draws():
    generator, draws, held = np.random.default_rng(3), 60, {"accuracy": 0, "f1": 0, "auc": 0}
    everything = tally_of(*sample(generator, 400_000)).metrics()[0]
    for _ in range(draws):
        found, _ = intervals(tally_of(*sample(generator, 400)))
        for name in held:
            low, high = found[name]
            held[name] += low <= everything[name] <= high
    assert min(held.values()) >= 0.87 * draws, held  # 95 %, less three standard errors of 2.8 points


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_the_interval_of_a_calibration_error_holds_it_even_when_it_is_0(temperature):
    """An error of absolute gaps is never 0 by chance, and its plain bootstrap is further off."""
    generator, draws, held = np.random.default_rng(3), 30, 0

    def drawn(count):
        logits = generator.normal(0, 1.5, count)
        labels = (generator.random(count) < 1 / (1 + np.exp(-logits))).astype(int)
        return tally_of(labels, 1 / (1 + np.exp(-logits * temperature)))

    true = drawn(1_000_000).metrics()[0]["calibration_error"] if temperature != 1 else 0.0
    for _ in range(draws):
        low, high = reliability(drawn(1_000))[1]["calibration_error"]
        held += low <= true <= high
    assert held >= 0.88 * draws
