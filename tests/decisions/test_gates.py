import pytest

from lowmem_sentiment.decisions.gates import check_metrics, missed, parse_limit
from lowmem_sentiment.evaluation.scoring import Tally, metric_names
from lowmem_sentiment.system.errors import SettingsError


def test_an_area_that_is_not_defined_misses_no_limit():
    """It is not defined where all reviews have one label."""
    metrics, _ = Tally(["ham", "spam"]).metrics()
    assert "auc" not in metrics and missed(metrics, {"auc": 0.5}) == []


def test_missed_limits_are_reported_with_by_how_much():
    evaluation = {"accuracy": 0.86, "loss": 0.4, "recall:spam": 0.8}
    assert missed(evaluation, {"accuracy": 0.86, "loss": 0.4, "recall:spam": 0.8}) == []
    assert missed(evaluation, {"accuracy": 0.87}) == ["accuracy is 0.86000, 0.01000 below 0.87"]
    assert missed(evaluation, {"loss": 0.3}) == ["loss is 0.40000, 0.10000 above 0.3"]
    assert missed(evaluation, {"recall:spam": 0.9}) == ["recall:spam is 0.80000, 0.10000 below 0.9"]
    assert len(missed({"loss": float("nan")}, {"loss": 1.0})) == 1


@pytest.mark.parametrize("name", ["accuracy", "recall:spam", "recall:a=b"])
def test_a_limit_is_read(name):
    assert parse_limit(f"{name}=0.9") == (name, 0.9)


@pytest.mark.parametrize("text", ["accuracy", "accuracy=", "accuracy=high", "=0.9", "accuracy=nan"])
def test_what_is_no_limit_is_refused(text):
    with pytest.raises(SettingsError, match="expected METRIC=NUMBER, such as accuracy=0.88"):
        parse_limit(text)


def test_unknown_metrics_and_labels_are_refused():
    check_metrics(["accuracy", "auc", "recall:spam"], metric_names(["ham", "spam"]))
    for name in ("acuracy", "recall:eggs", "macro_f1"):
        with pytest.raises(SettingsError, match=f"no metric '{name}', expected one of loss, accuracy, "):
            check_metrics([name], metric_names(["ham", "spam"]))
