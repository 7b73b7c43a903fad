import json
import math
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from helpers import (
    PATIENCE,
    VOCABULARY,
    check_imports_no_tensorflow,
    ids_of,
    random_texts,
    run_cli,
    write_run,
)  # fmt: skip

from lowmem_sentiment.cli import main
from lowmem_sentiment.evaluation.predict import UNKNOWN, Predictor, predict
from lowmem_sentiment.model.numpy_model import load_with_vocabulary
from lowmem_sentiment.runs.run_directory import RunDirectory
from lowmem_sentiment.system.errors import DataError, InputMissing, SettingsError
from lowmem_sentiment.text.tokenizers import tokenise


@pytest.fixture(params=[2, 3], ids=["two labels", "three labels"])
def run(request, tmp_path) -> RunDirectory:
    return write_run(tmp_path / "run", ("negative", "positive", "neutral")[: request.param])


def by_hand(run: RunDirectory, texts: list[str], without: str | None = None) -> np.ndarray:
    """Return float64[texts, labels], the probabilities computed from dense multi-hot rows."""
    model, vocabulary = load_with_vocabulary(run)
    rows = np.zeros((len(texts), model.num_words))
    for row, text in zip(rows, texts, strict=True):
        row[ids_of(vocabulary, tokenise(text.encode()))] = 1
        if without is not None:
            row[vocabulary.ids.get(without.encode(), 2)] = 0
    values = rows
    for kernel, bias, name in zip(model.kernels, model.biases, model.metadata.activations, strict=True):
        values = values @ kernel.astype(np.float64) + bias
        values = np.maximum(values, 0) if name == "relu" else values
    if len(model.labels) == 2:
        positive = 1 / (1 + np.exp(-values))
        return np.concatenate([1 - positive, positive], axis=1)
    return np.exp(values) / np.exp(values).sum(axis=1, keepdims=True)


def test_prediction_is_the_networks_on_multi_hot_rows(run, tmp_path):
    texts = random_texts(200)
    for each in (run, write_run(tmp_path / "without hidden layers", hidden=())):
        found = Predictor(each.path).probabilities(texts)
        np.testing.assert_allclose(found, by_hand(each, texts), atol=1e-5)


def test_the_label_is_the_most_probable_and_every_probability_is_given(run):
    for prediction in predict(run.path, random_texts(50)):
        assert prediction.probability == prediction.probabilities[prediction.label]
        assert prediction.probability == max(prediction.probabilities.values())
        assert math.isclose(sum(prediction.probabilities.values()), 1, abs_tol=1e-6)


def test_prediction_does_not_depend_on_what_is_asked_together(run):
    texts, predictor = random_texts(2_100), Predictor(run.path)
    one_by_one = np.concatenate([predictor.probabilities([text]) for text in texts[::100]])
    np.testing.assert_allclose(predictor.probabilities(texts)[::100], one_by_one, atol=1e-6)


def test_one_text_is_not_taken_for_its_letters(run):
    assert len(predict(run.path, "a great film")) == len(predict(run.path, b"a great film")) == 1
    assert predict(run.path, []) == []


def test_an_empty_cell_is_not_taken_for_a_text(run):
    for cell in (None, float("nan")):
        with pytest.raises(TypeError, match=f"text 1 is {cell}, expected str or bytes"):
            predict(run.path, ["great", cell])


def test_a_long_text_is_predicted_as_a_short_one_with_its_words(run):
    long = "great xyzzy plot " * 100_000
    assert predict(run.path, [long]) == predict(run.path, ["great xyzzy plot"])


def test_threshold_moves_the_second_label(tmp_path):
    run = write_run(tmp_path / "run")
    (prediction,) = predict(run.path, ["a great film"])
    positive = prediction.probabilities["positive"]
    assert predict(run.path, ["a great film"], threshold=positive - 1e-3)[0].label == "positive"
    lower = predict(run.path, ["a great film"], threshold=positive + 1e-3)[0]
    assert lower.label == "negative" and lower.probability == pytest.approx(1 - positive)
    with pytest.raises(SettingsError, match=r"threshold is 1\.5, expected 0 to 1"):
        predict(run.path, ["a"], threshold=1.5)
    run = write_run(tmp_path / "three", ("a", "b", "c"))
    with pytest.raises(SettingsError, match="a threshold is for two labels; these are a, b, c"):
        predict(run.path, ["x"], threshold=0.5)


def log_odds(probability: float) -> float:
    return math.log(probability) - math.log1p(-probability)


def test_effects_are_those_of_the_network_run_without_the_word(run):
    labels = Predictor(run.path).labels
    assert predict(run.path, [""], explain=True)[0].effects == []
    for text in random_texts(20):
        (prediction,) = predict(run.path, [text], explain=True)
        label = labels.index(prediction.label)
        assert [effect.effect for effect in prediction.effects] == sorted(
            (effect.effect for effect in prediction.effects), reverse=True
        )
        words = {word.decode() for word in tokenise(text.encode())}
        known = {word for word in words if word.encode() in VOCABULARY.ids}
        assert {effect.word for effect in prediction.effects} == known | (
            {UNKNOWN} if words - known else set()
        )
        whole = log_odds(by_hand(run, [text])[0, label])
        for each in prediction.effects:
            rest = log_odds(by_hand(run, [text], without=each.word)[0, label])
            assert each.effect == pytest.approx(whole - rest, abs=1e-4)


def test_extreme_logits_overflow_nowhere(tmp_path):
    run = write_run(tmp_path / "run")
    with np.load(run.weights_file) as archive:
        arrays = dict(archive)
    arrays["kernel_2"] = arrays["kernel_2"] * np.float32(1e4)
    run.write_weights(arrays)
    with np.errstate(all="raise", under="ignore"):
        for prediction in predict(run.path, random_texts(50), explain=True):
            assert all(math.isfinite(effect.effect) for effect in prediction.effects)


@pytest.mark.parametrize("labels", [2, 3])
def test_prediction_is_what_keras_gives(labels, tmp_path, trained):
    import keras
    import tensorflow as tf

    from lowmem_sentiment.model.keras_model import build_model, load_model
    from lowmem_sentiment.model.weights import to_arrays

    run, vocabulary = RunDirectory(trained), RunDirectory(trained).vocabulary()
    if labels == 2:
        network = load_model(run)
    else:
        network = build_model(vocabulary.num_ids, 3, hidden=(6, 5))
        run = RunDirectory(tmp_path / "run")
        run.path.mkdir()
        names = ["negative", "neutral", "positive"]
        run.write_weights(to_arrays(network, names, vocabulary.num_ids, vocabulary.sha256))
        vocabulary.save(run.vocabulary_file)
    texts = random_texts(300)
    encode = keras.layers.CategoryEncoding(vocabulary.num_ids, output_mode="multi_hot")
    ids = [ids_of(vocabulary, tokenise(text.encode())) for text in texts]
    expected = network.predict(encode(tf.ragged.constant(ids, tf.int64)), verbose=0)
    got = Predictor(run.path).probabilities(texts)
    np.testing.assert_allclose(got[:, 1:] if labels == 2 else got, expected, atol=1e-5)


def test_runs_without_their_files_are_refused(tmp_path, trained):
    with pytest.raises(InputMissing, match="is not a run directory"):
        predict(tmp_path / "none", ["a"])
    run = RunDirectory(tmp_path / "run")
    run.path.mkdir()
    with pytest.raises(InputMissing, match=r"has no weights\.npz: expected a run, or an export"):
        predict(run.path, ["a"])
    shutil.copyfile(RunDirectory(trained).model_file, run.model_file)
    with pytest.raises(InputMissing, match="other layers than Dense and Dropout"):
        predict(run.path, ["a"])
    shutil.copyfile(RunDirectory(trained).weights_file, run.weights_file)
    with pytest.raises(InputMissing, match=r"vocabulary\.txt"):
        predict(run.path, ["a"])


def test_weights_of_another_run_are_refused(tmp_path, trained):
    shutil.copytree(trained, tmp_path / "run")
    other = write_run(tmp_path / "other")
    shutil.copyfile(other.weights_file, tmp_path / "run" / "weights.npz")
    with pytest.raises(DataError, match=r"weights\.npz is damaged, or another run's"):
        predict(tmp_path / "run", ["a"])
    (tmp_path / "run" / "checksums.json").unlink()  # a run of before has none
    with pytest.raises(DataError, match=r"vocabulary\.txt is damaged: its SHA-256"):
        predict(tmp_path / "run", ["a"])
    shutil.copyfile(other.vocabulary_file, tmp_path / "run" / "vocabulary.txt")
    with pytest.raises(DataError, match=r"config\.json says 26"):
        predict(tmp_path / "run", ["a"])


# --- the command ---


def answer(capsys, *arguments: object) -> str:
    """Return what the command prints, in this process."""
    assert main(["predict", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_the_command_answers_each_text_in_order(tmp_path, capsys):
    run = write_run(tmp_path / "run")
    expected = predict(run.path, ["great", "worst"])
    lines = answer(capsys, run.path, "great", "worst").splitlines()
    assert lines == [f"{p.label}  {p.probability:.4f}" for p in expected]
    lines = run_cli("predict", run.path, "--json", input="great\nworst\n").stdout.splitlines()
    assert [json.loads(line) for line in lines] == [
        {"number": nth, **p.to_json()} for nth, p in enumerate(expected)
    ]


def test_texts_may_stand_before_between_and_after_options(tmp_path, capsys):
    run = str(write_run(tmp_path / "run").path)
    expected = answer(capsys, run, "great", "worst", "--json")
    assert len(expected.splitlines()) == 2
    for arguments in (
        ("--json", run, "great", "worst"),
        (run, "--json", "great", "worst"),
        (run, "great", "--json", "worst"),
        (run, "--json", "--", "great", "worst"),
    ):
        assert answer(capsys, *arguments) == expected
    for arguments in ((run, "great", "--jsn"), (run, "--threshold", "0.5", "great", "-x")):
        with pytest.raises(SystemExit, match="2"):
            main(["predict", *arguments])
        assert "unrecognized arguments: " in capsys.readouterr().err
    assert len(answer(capsys, run, "--json", "--", "-worst", "--great").splitlines()) == 2


def test_the_command_explains(tmp_path, capsys):
    run = write_run(tmp_path / "run", ("a", "b", "c"))
    arguments = (run.path, "the great film was boring xyzzy", "--explain", "--words", 2)
    content = json.loads(answer(capsys, *arguments, "--json"))
    effects = [effect["effect"] for effect in content["effects"]]
    assert 1 <= len(effects) <= 4 and effects == sorted(effects, reverse=True)
    first, towards, against = answer(capsys, *arguments).splitlines()
    assert first.startswith(content["label"]) and first.count(", ") == 1
    assert towards.startswith("  for      ") and against.startswith("  against  ")
    strongest = max(content["effects"], key=lambda effect: effect["effect"])
    assert f"{strongest['word']} {strongest['effect']:+.2f}" in towards


def test_a_terminal_gets_colour_unless_it_wants_none(tmp_path):
    run = write_run(tmp_path / "run")
    for variables, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        terminal, slave = os.openpty()
        environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
        options = {"stdout": slave, "capture_output": False, "env": {**environment, **variables}}
        assert run_cli("predict", run.path, "great plot", "--explain", **options).returncode == 0
        os.close(slave)
        assert (b"\x1b[32m  for " in os.read(terminal, 10_000)) == coloured
        os.close(terminal)


def test_standard_input_is_answered_line_by_line(tmp_path):
    run = write_run(tmp_path / "run")
    command = [sys.executable, "-m", "lowmem_sentiment", "predict", str(run.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        for word in ("great", "worst", "", "plot"):
            process.stdin.write(word + "\n")
            process.stdin.flush()
            (expected,) = predict(run.path, [word])
            shown = f"{expected.label}  {expected.probability:.4f}"
            shown += "" if word else "  (no word that the model knows)"
            assert process.stdout.readline() == f"{shown}\n" and expected.known == bool(word)
        process.stdin.close()
        assert process.wait(PATIENCE) == 0


@pytest.mark.slow
def test_bad_input_ends_with_one_line_after_the_answers_before_it(tmp_path):
    run = write_run(tmp_path / "run")
    result = run_cli("predict", run.path, input=b"great\nworst\nb\xffd\n", text=False)
    assert result.returncode == 65
    assert len(result.stdout.splitlines()) == 2
    assert len(result.stderr.splitlines()) == 1 and b":3: is not UTF-8 (byte 0xff" in result.stderr
    assert main(["predict", str(run.path), "a", "--file", "b"]) == 2
    assert main(["predict", str(tmp_path), "a"]) == 66
    result = run_cli("predict", run.path, "--file", os.devnull)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_prediction_imports_no_tensorflow(tmp_path):
    check_imports_no_tensorflow("predict", write_run(tmp_path / "run").path, "a great film", "--explain")
