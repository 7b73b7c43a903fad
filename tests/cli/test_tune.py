"""The output of tune."""

from dataclasses import replace

import numpy as np
import pytest

from lowmem_sentiment.cli.tune import _lines
from lowmem_sentiment.evaluation.results import Evaluation
from lowmem_sentiment.evaluation.scoring import LabelMetrics
from lowmem_sentiment.runs.configuration import TrainingSettings
from lowmem_sentiment.search.results import Candidate, TuningResult
from lowmem_sentiment.search.settings import TuneSettings

ROW = Candidate(
    rank=1,
    candidate=1,
    kind="random",
    value=0.75,
    deviation=None,
    standard_error=0.01,
    epochs=16,
    settings=TrainingSettings(
        num_words=240_000,
        dropout=(0.33, 0.165, 0.165),
        learning_rate=0.00046,
        batch_size=256,
        class_weight="balanced",
        optimizer="lazy-adam",
    ),
    metrics={"accuracy": 0.75, "loss": 0.5, "macro_f1": 0.7},
    epoch_seconds=1.0,
    peak_resident_bytes=838_000_000,
    model_bytes=30_700_000,
    runs=1,
)


def evaluation_of(**label_f1):
    metrics = {"accuracy": 0.5, "loss": 1.25, "macro_f1": 0.4}
    by_label = {label: LabelMetrics(0.3, 0.3, f1, 5) for label, f1 in label_f1.items()}
    return Evaluation(
        "out/winner", "data", None, "test", "", 5, list(label_f1), metrics, by_label, np.zeros((0, 0)),
        {}, {}, {}, "",
    )  # fmt: skip


def lines_of(metric="macro_f1", cheapest_rank=1, **values):
    settings = [replace(ROW.settings, batch_size=8 << nth % 4, class_weight=("none", "balanced")[nth % 2],
                        hidden=((60, 60, 60), (50, 50, 50))[nth % 2]) for nth in range(13)]  # fmt: skip
    rows = [replace(ROW, rank=nth, kind="tutorial" if nth == 12 else "random", settings=each)
            for nth, each in enumerate(settings, 1)]  # fmt: skip
    result = TuningResult(
        dataset="data",
        data="data",
        settings=TuneSettings(metric=metric, minutes=10),
        validated_on="10% of the training reviews",
        ranked_with_validation=False,
        rungs=[1, 2, 4],
        trained=19,
        candidates=rows,
        failed=[],
        not_tried={},
        winner=rows[0],
        cheapest=rows[cheapest_rank - 1],
        seconds=570.0,
        test=evaluation_of(**{"a, b": 0.3}),
        run="out/winner",
        command="lowmem-sentiment train data --run out/winner",
    )
    return _lines(replace(result, **values))


@pytest.mark.parametrize("columns", ["80", "300"])
def test_the_table_fits_a_terminal_and_has_the_default_at_the_end(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    lines = lines_of()
    table = lines[: next(nth for nth, line in enumerate(lines) if line.startswith("searched")) - 1]
    blocks = " | ".join(table).split(" |  | ")
    assert len(blocks) == (2 if columns == "80" else 1) and max(map(len, lines)) <= int(columns)
    for block in blocks:
        firsts = [line.split()[0] for line in block.split(" | ")]
        assert firsts[:12] == ["rank", *map(str, range(1, 11)), "12"]
    assert table[-1].startswith("... 2 more") and table[11].startswith("12 recipe")
    assert table[1].startswith("1 winner, cheapest ")
    for cell in ("0.7500", "0.0100", "838", "30.7", "none", "balanced", "50,50,50"):
        assert any(cell in line.split() for line in table)


def test_the_f1_of_a_label_is_among_the_test_metrics_and_heads_the_table():
    lines = lines_of(metric="f1:a, b")
    assert "f1:a, b" in lines[0]
    assert "test      f1:a, b 0.3000, accuracy 0.5000, loss 1.2500" in lines


def test_the_cheaper_candidate_is_named_with_the_option_that_takes_it():
    assert "cheapest  the winner" in lines_of()
    cheaper = "cheapest  rank 2, 30.7 MB: within one standard error (--prefer cheap)"
    assert cheaper in lines_of(cheapest_rank=2)


def test_validation_that_ranked_the_ngrams_is_noted():
    note = "note      validation is too good: its reviews helped to rank the n-grams"
    assert note in lines_of(ranked_with_validation=True) and note not in lines_of()


@pytest.mark.parametrize("deviation", [None, 0.01])
def test_a_grid_shows_its_settings_and_a_deviation_over_several_seeds(deviation):
    rows = [replace(ROW, deviation=deviation, standard_error=0.02)]
    settings = TuneSettings(grid=("hidden=50,50,50", "keep_best=false"))
    lines = lines_of(settings=settings, candidates=rows, winner=rows[0], cheapest=rows[0])
    assert lines[0].split()[-3:] == ["hidden", "keep", "best"]
    assert lines[1].split()[-2:] == ["50,50,50", "False"]
    assert f" {deviation or 0.02:.4f} " in lines[1]  # or the standard error


def test_several_seeds_of_a_winner_show_their_mean_on_test():
    lines = lines_of(test_accuracies=[0.89, 0.91])
    assert [line[:46] for line in lines if line.startswith("seeds")] == [
        "seeds     test accuracy 0.9000 ± 0.0141 of its"
    ]
