import argparse
import json
from dataclasses import asdict, replace

import pytest

from lowmem_sentiment.cli.options import add_settings, given
from lowmem_sentiment.runs.configuration import TrainingSettings
from lowmem_sentiment.system.errors import DataError, SettingsError
from lowmem_sentiment.system.schema import parse

OTHER = TrainingSettings(
    epochs=3, batch_size=8, num_words=500, learning_rate=0.5, hidden=(8, 4), dropout=(0.25,), seed=7,
    validation_split=0.1, class_weight="balanced", window_bytes=1 << 20, prefetch=1, early_stopping=2,
    keep_best=True, best_by="loss", histograms=True, optimizer="lazy-adam",
    learning_rate_schedule="linear",
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("epochs", 0, "1 or more"),
        ("learning_rate", 0, "more than 0"),
        ("learning_rate", float("nan"), "more than 0"),
        ("learning_rate", float("inf"), "more than 0"),
        ("hidden", (5, 0), "1 or more"),
        ("dropout", (1.0,), "0 to below 1"),
        ("dropout", (0.1,) * 4, "at most one rate for each of the 3 hidden layers"),
        ("seed", 1 << 31, "0 to 2,147,483,647"),
        ("validation_split", 1, "0 to below 1"),
        ("window_bytes", 0, "1 or more"),
        ("prefetch", 0, "1 or more"),
        ("early_stopping", -1, "0 or more"),
        ("class_weight", "equal", "one of none, balanced"),
        ("best_by", "auc", "one of accuracy, loss, f1"),
    ],
)
def test_a_setting_out_of_its_range_is_refused_with_the_range(name, value, expected):
    with pytest.raises(SettingsError, match=f"{name} is .*, expected {expected}"):
        TrainingSettings(**{name: value})


@pytest.mark.parametrize("settings", [TrainingSettings(), OTHER, TrainingSettings(hidden=())])
def test_settings_come_back_from_json(settings):
    assert parse(TrainingSettings, json.loads(json.dumps(asdict(settings))), "c") == settings


def test_settings_come_back_from_options():
    assert all(getattr(OTHER, name) != value for name, value in asdict(TrainingSettings()).items())
    parser = argparse.ArgumentParser()
    add_settings(parser, TrainingSettings)
    for settings in (TrainingSettings(), OTHER):
        chosen = given(parser.parse_args(settings.options()), TrainingSettings)
        assert TrainingSettings(**chosen) == settings
    assert chosen == vars(OTHER)


def test_an_option_that_is_not_given_leaves_the_setting_to_the_run():
    parser = argparse.ArgumentParser()
    add_settings(parser, TrainingSettings)
    chosen = given(parser.parse_args(["--epochs", "2"]), TrainingSettings)
    assert replace(OTHER, **chosen) == replace(OTHER, epochs=2)


def test_a_setting_of_an_earlier_version_is_passed_over():
    assert parse(TrainingSettings, {**asdict(OTHER), "projector": True}, "c") == OTHER


def test_a_setting_younger_than_the_run_has_its_default():
    content = asdict(OTHER)
    del content["histograms"]
    assert parse(TrainingSettings, content, "c") == replace(OTHER, histograms=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"momentum": 0.9}, "c: momentum is not known to this version"),
        ({"epochs": 0}, "c: epochs is 0, expected 1 or more"),
        ({"epochs": 1 << 70}, "c: epochs is 1180591620717411303424, expected a whole number of 64 bits"),
        ({"epochs": True}, "c: epochs is true, expected a whole number"),
        ({"hidden": [8, "4"]}, r'c: hidden\[1\] is "4", expected a whole number'),
        ({"hidden": 8}, "c: hidden is 8, expected a list"),
        ({"dropout": None}, "c: dropout is null, expected a list"),
        ({"class_weight": ["none"]}, "c: class_weight is .*, expected a text"),
    ],
)
def test_json_that_is_no_settings_is_damaged_data(change, message):
    with pytest.raises(DataError, match=message):
        parse(TrainingSettings, {**asdict(OTHER), **change}, "c")


@pytest.mark.parametrize("content", [None, [], "settings", 3])
def test_what_is_no_object_is_no_settings(content):
    with pytest.raises(DataError, match="expected an object"):
        parse(TrainingSettings, content, "c")
