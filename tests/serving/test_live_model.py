"""A model that is replaced while it is used."""

import os
import threading

import pytest
from helpers import write_run
from werkzeug.test import Client

from lowmem_sentiment.decisions.settings import DecisionSettings
from lowmem_sentiment.evaluation.predict import predict
from lowmem_sentiment.serving import create_app, live_model
from lowmem_sentiment.serving.live_model import LiveModel


@pytest.fixture
def runs(tmp_path):
    return [write_run(tmp_path / name, seed=seed).path for seed, name in enumerate("ab")]


def point(link, run):
    """Let a link lead to a run, in one step, as a gate promotes."""
    os.symlink(run, f"{link}.new")
    os.replace(f"{link}.new", link)


@pytest.fixture
def live(tmp_path, runs, monkeypatch):
    monkeypatch.setattr(live_model, "LOOK_EVERY", 0.0)
    point(tmp_path / "live", runs[0])
    return tmp_path / "live"


def test_a_link_that_leads_elsewhere_replaces_the_model(live, runs):
    events = []
    model = LiveModel(live, DecisionSettings(), events.append)
    assert not model.has_changed()
    point(live, runs[1])
    assert model.has_changed()
    model.replace()
    assert not model.has_changed()
    assert model.loaded.predictor.predict(["a film"]) == predict(runs[1], ["a film"])
    assert events == [{"event": "model", "run": str(runs[1]), "loaded": True}]


def test_a_damaged_model_is_refused_and_the_old_one_goes_on(live, runs):
    events = []
    model = LiveModel(live, DecisionSettings(), events.append)
    weights = runs[1] / "weights.npz"
    weights.write_bytes(weights.read_bytes()[:-100])
    point(live, runs[1])
    model.replace()
    assert model.loaded.predictor.predict(["a film"]) == predict(runs[0], ["a film"])
    assert events[0]["loaded"] is False
    assert "weights.npz" in events[0]["error"]
    assert not model.has_changed()  # it is not tried every second
    live.unlink()
    assert model.has_changed()
    model.replace()
    assert model.loaded.predictor.predict(["a film"]) == predict(runs[0], ["a film"])


def test_no_request_fails_while_the_model_is_replaced_again_and_again(live, runs):
    application = create_app(live, name="reviews")
    expected = [predict(run, ["a great film"])[0].probability for run in runs]
    found, stop = set(), threading.Event()

    def ask():
        client = Client(application)
        while not stop.is_set():
            response = client.post("/v1/models/reviews:predict", json={"instances": ["a great film"]})
            found.add((response.status_code, response.get_json()["predictions"][0]["probability"]))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for nth in range(20):
        point(live, runs[(nth + 1) % 2])
        application.model.replace()
    stop.set()
    for thread in threads:
        thread.join(60)
    assert {code for code, _ in found} == {200}
    assert {probability for _, probability in found} == set(expected)
