import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from helpers import VOCABULARY, limited_file_size, random_texts, run_cli, run_config

from lowmem_sentiment.decisions.calibration import Calibration
from lowmem_sentiment.decisions.records import write_record
from lowmem_sentiment.evaluation.predict import Predictor, predict
from lowmem_sentiment.model.decision import Decision, confidence
from lowmem_sentiment.model.export import EXPORT, export
from lowmem_sentiment.model.numpy_model import NumpyModel
from lowmem_sentiment.runs.run_directory import RunDirectory
from lowmem_sentiment.system.errors import (
    DataError,
    InputMissing,
    OutputError,
    OutputExists,
    SettingsError,
)
from lowmem_sentiment.system.workarounds import save_model

# Where our package cannot be imported: opens a run's model.keras and gives its output for each word, then
# loads SavedModels and answers texts from standard input.
SERVER = """
import json, sys
sys.modules["lowmem_sentiment"] = None
import keras, tensorflow as tf
model = keras.models.load_model(sys.argv.pop(1))
assert type(model.optimizer) is keras.optimizers.Adam
assert int(model.optimizer.iterations) == 60
words = model.predict(tf.eye(model.input_shape[1]), verbose=0).tolist()
texts = [text.encode("latin-1") for text in json.load(sys.stdin)]
answers = []
for path in sys.argv[1:]:
    signature = tf.saved_model.load(path).signatures["serving_default"]
    outputs = signature(texts=tf.constant(texts))
    answers.append({name: value.numpy().tolist() for name, value in outputs.items()})
    for name in {"label", "reason"} & outputs.keys():
        answers[-1][name] = [text.decode() for text in answers[-1][name]]
    assert signature(texts=tf.constant([], tf.string))["label"].shape == [0]
json.dump([words, answers], sys.stdout)
"""


def write_run(path, labels) -> RunDirectory:
    from lowmem_sentiment.model.keras_model import build_model
    from lowmem_sentiment.model.weights import to_arrays

    run = RunDirectory(path)
    network = build_model(VOCABULARY.num_ids, len(labels), hidden=(7, 5), seed=len(labels))
    run.create(run_config(labels), VOCABULARY, overwrite=False)
    with run.checksums.replace(run.model_file) as file:
        network.save(file)
    run.write_weights(to_arrays(network, labels, VOCABULARY.num_ids, VOCABULARY.sha256))
    return run


def hard_texts() -> list[bytes]:
    """Return texts that try every byte as a letter, as a separator, and out of UTF-8."""
    texts = [text.encode() for text in random_texts(1_000)]
    texts += [b"great" + bytes([byte]) + b"film" for byte in range(256)]
    words = ("GREAT<br /><br />Film😀worst — café", "İstanbul ſ ẞ K", "great\u00a0film", "Don't!")
    texts += [text.encode() for text in words]
    return [*texts, b"", b" ", b"\xff\xfe", b"great \xc3", b"a\x00b"]


@pytest.mark.slow
def test_models_give_what_predict_gives_without_our_package(trained, tmp_path):
    labels = (["negative", "positive"], ["schlecht", "mäßig", "gut"])
    runs = [write_run(tmp_path / f"run{len(names)}", names) for names in labels]
    decisions = [Decision(), Decision()]
    for run in list(runs):
        probabilities = Predictor(run.path).probabilities(random_texts(1_000))
        decisions.append(
            Decision(
                None, 2.0, float(np.median(confidence(probabilities))), least_known=4, least_per_word=0.4
            )
        )
        runs.append(run)
    exported = [
        export(run.path, tmp_path / f"model{nth}" / "1", decision=how)
        for nth, (run, how) in enumerate(zip(runs, decisions, strict=True))
    ]
    texts = hard_texts()
    result = subprocess.run(
        [sys.executable, "-c", SERVER, trained / "model.keras", *map(str, exported)],
        input=json.dumps([text.decode("latin-1") for text in texts]),
        capture_output=True,
        text=True,
        timeout=600,
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
    )
    assert result.returncode == 0, result.stderr
    assert all(EXPORT.made(each.name) for each in exported[-1].iterdir())
    words, answers = json.loads(result.stdout)
    model = NumpyModel.load(RunDirectory(trained))
    of_numpy = model.probabilities([np.array([nth]) for nth in range(len(words))])
    np.testing.assert_allclose(words, of_numpy[:, 1:], atol=1e-6)
    for run, how, answer in zip(runs, decisions, answers, strict=True):
        expected = Predictor(run.path).predict(texts, how)
        probabilities = np.array([[*each.probabilities.values()] for each in expected])
        np.testing.assert_allclose(answer["probabilities"], probabilities, atol=1e-5)
        np.testing.assert_allclose(answer["probability"], [p.probability for p in expected], atol=1e-5)
        unsure = np.abs(np.sort(probabilities)[:, -1] - np.sort(probabilities)[:, -2]) < 1e-5
        reasons = answer.get("reason", [""] * len(texts))
        if how.abstains:
            unsure |= np.abs(confidence(probabilities, how.temperature) - how.least_log_odds) < 1e-4
            assert len({*reasons}) == 3
        found = zip(answer["label"], reasons, strict=True)
        same = [a == (p.label or "", p.reason or "") for a, p in zip(found, expected, strict=True)]
        assert (np.array(same) | unsure).all() and unsure.mean() < 0.1


@pytest.mark.slow
def test_exported_weights_are_all_that_predict_needs(trained, tmp_path):
    out = export(trained, tmp_path / "small", format="weights")
    assert sorted(path.name for path in out.iterdir()) == ["export.json", "vocabulary.txt", "weights.npz"]
    assert predict(out, ["a great film"]) == predict(trained, ["a great film"])
    run = shutil.copytree(trained, tmp_path / "run")
    write_record(RunDirectory(run), Calibration("", "", 2.0, 10))
    out = export(run, tmp_path / "calibrated", format="weights")
    texts = ["a great film"]
    assert (
        predict(out, texts, calibrated="run")
        == predict(run, texts, calibrated="run")
        != predict(run, texts)
    )


def test_an_exported_keras_model_opens_without_our_package(trained, tmp_path):
    import keras

    out = export(trained, tmp_path / "keras", format="keras")
    assert sorted(path.name for path in out.iterdir()) == ["export.json", "model.keras", "vocabulary.txt"]
    network = keras.models.load_model(out / "model.keras")
    assert network.input_shape == (None, RunDirectory(trained).config()["settings"]["num_words"])


def test_exports_that_cannot_be_are_refused_and_leave_nothing(trained, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(SettingsError, match="expected one of saved-model, weights, keras"):
        export(trained, out, format="onnx")
    with pytest.raises(InputMissing, match="is not a run directory"):
        export(tmp_path / "none", out, format="weights")
    shutil.copytree(trained, tmp_path / "run")
    (tmp_path / "run" / "weights.npz").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"weights\.npz is damaged"):
        export(tmp_path / "run", out, format="weights")
    (tmp_path / "run" / "model.keras").unlink()
    for format_ in ("saved-model", "keras"):
        with pytest.raises(InputMissing, match=r"has only weights and curves left"):
            export(tmp_path / "run", out, format=format_)
    assert not out.exists()
    out.mkdir()
    (out / "mine").touch()
    with pytest.raises(OutputExists):
        export(trained, out, format="weights")


def test_the_command_exports(trained, tmp_path):
    result = run_cli("export", trained, "--format", "weights", "--out", tmp_path / "out", "--json")
    assert result.returncode == 0
    assert json.loads(result.stdout)["out"] == str(tmp_path / "out")
    assert run_cli("export", trained, "--format", "weights", "--out", tmp_path / "out").returncode == 73
    assert run_cli("export", tmp_path, "--out", tmp_path / "other").returncode == 66


@pytest.mark.slow
@pytest.mark.parametrize("format_", ["saved-model", "weights", "keras"])
def test_an_export_that_the_disk_refuses_is_one_error_and_leaves_nothing(trained, tmp_path, format_):
    with limited_file_size(1_000), pytest.raises(OutputError, match=r"cannot write .*File too large"):
        export(trained, tmp_path / "out", format=format_)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("size", [1_000, 8_000, 12_000])
def test_a_model_that_the_disk_refuses_is_one_error_and_the_old_one_stays(trained, tmp_path, size):
    from lowmem_sentiment.model.keras_model import load_model

    run = RunDirectory(shutil.copytree(trained, tmp_path / "run"))
    model, whole = load_model(run), run.model_file.read_bytes()
    model.compile("adam")
    files = sorted(path.name for path in run.path.iterdir())
    refused = pytest.raises(OutputError, match=r"cannot write .*File too large")
    with limited_file_size(size), refused, run.checksums.replace(run.model_file) as path:
        save_model(model, path)
    assert run.model_file.read_bytes() == whole
    assert sorted(path.name for path in run.path.iterdir()) == files
