import pytest

from lowmem_sentiment.cli.sweep import _sweep_lines


@pytest.mark.parametrize(("runs", "deviations"), [(1, 0), (2, 3)])
def test_a_deviation_is_shown_over_several_seeds_alone(runs, deviations):
    names = ("val_accuracy", "val_loss", "seconds", "test_accuracy")
    row = {f"{name}_{kind}": 0.5 for name in names for kind in ("mean", "sd")}
    row |= {"epochs": 2, "runs": runs, "failed": 0, "best": True}
    text = "\n".join(_sweep_lines({"combinations": [row], "best_by": "loss"}, ["epochs"]))
    assert text.count("± 0.5000") == deviations and text.count("±") == deviations
