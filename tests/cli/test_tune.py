"""What tune prints."""

from lowmem_sentiment.cli.tune import _lines

ROW = {
    "candidate": 1,
    "kind": "random",
    "value": 0.75,
    "standard_error": 0.01,
    "epochs": 16,
    "num_words": 240_000,
    "hidden": (50, 50, 50),
    "dropout": (0.33, 0.165, 0.165),
    "learning_rate": 0.00046,
    "batch_size": 256,
    "class_weight": "balanced",
    "optimizer": "lazy-adam",
    "peak_resident_bytes": 838e6,
    "model_bytes": 30.7e6,
}


def lines_of(**values):
    result = {
        "metric": "macro_f1",
        "candidates": [{**ROW, "rank": nth} for nth in range(1, 14)],
        "default": 12,
        "winner": 1,
        "cheapest": 1,
        "trained": 19,
        "validation_split": 0.1,
        "minutes": 10.0,
        "seconds": 570.0,
        "not_tried": {},
        "ranked_with_validation": False,
        "test": {"accuracy": 0.5, "loss": 1.25, "macro_f1": 0.4, "by_label": {"a, b": {"f1": 0.3}}},
        "run": "out/winner",
        "command": "lowmem-sentiment train data --run out/winner",
    }
    return _lines({**result, **values})


def test_the_table_fits_a_terminal_and_has_the_default_at_the_end():
    lines = lines_of()
    table = lines[: lines.index("")]
    assert [line.split()[0] for line in table] == ["macro_f1", *map(str, range(1, 11)), "12", "..."]
    assert table[-1].startswith("... 2 more") and max(map(len, lines)) <= 80
    cells = "1 0.7500 16 240000 50,50,50 0.33 4.6e-4 256 lazy yes 838M 30.7M"
    assert table[1].split() == cells.split()


def test_the_f1_of_a_label_is_among_the_test_metrics_and_heads_the_table_where_it_is_short():
    lines = lines_of(metric="f1:a, b")
    assert lines[0].split()[:2] == ["f1:a,", "b"]
    long = "a label that is long"
    test = {"accuracy": 0.5, "loss": 1.25, "by_label": {long: {"f1": 0.3}}}
    assert lines_of(metric=f"f1:{long}", test=test)[0].split()[0] == "f1"
    assert "test      f1:a, b 0.3000, accuracy 0.5000, loss 1.2500" in lines


def test_the_cheaper_candidate_is_named_with_the_option_that_takes_it():
    assert "cheapest  the winner" in lines_of()
    cheaper = "cheapest  rank 2, 30.7 MB: within one standard error (--prefer cheap)"
    assert cheaper in lines_of(cheapest=2)


def test_validation_that_ranked_the_ngrams_is_noted():
    note = "note      validation is too good: its reviews helped to rank the n-grams"
    assert note in lines_of(ranked_with_validation=True) and note not in lines_of()
