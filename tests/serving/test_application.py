"""The application itself, called as a WSGI server calls it."""

import base64
import csv
import io
import json
import re
import threading

import pytest
from helpers import random_texts, write_run
from werkzeug.test import Client

from lowmem_sentiment.cli import main
from lowmem_sentiment.decisions.settings import DecisionSettings
from lowmem_sentiment.evaluation.evaluate import evaluate
from lowmem_sentiment.evaluation.labelled_texts import RecordedSource
from lowmem_sentiment.evaluation.predict import predict
from lowmem_sentiment.model.decision import FEW_KNOWN_WORDS
from lowmem_sentiment.serving import create_app, live_model
from lowmem_sentiment.serving.settings import ServingSettings
from lowmem_sentiment.system.errors import InputMissing, SettingsError
from lowmem_sentiment.text.reader_settings import USUAL_FIELDS

PREDICT = "/v1/models/reviews:predict"

LABELS = ("negative", "neutral", "positive")

SCRIPTS = [
    "a wonderful film",
    "ein großartiger, bewegender Film",
    "Ένα υπέροχο φιλμ",
    "прекрасный фильм",
    "精彩的电影",
    "素晴らしい映画",
    "훌륭한 영화",
    "فيلم رائع",
    "סרט נפלא",
    "शानदार फ़िल्म 😀👩‍👩‍👧",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("serving") / "run", LABELS).path


@pytest.fixture(scope="module")
def client(run):
    return Client(create_app(run, name="reviews"))


def post(client, path, content, **options):
    return client.post(path, json=content, **options)


def test_answers_in_ten_scripts_are_those_of_predict(client, run):
    texts = [f"{text} {other}" for text in SCRIPTS for other in random_texts(100)]
    answer = post(client, PREDICT, {"instances": texts}).get_json()
    names = ("label", "probability", "probabilities")
    found = [tuple(row[name] for name in names) for row in answer["predictions"]]
    expected = predict(run, texts)
    assert found == [(p.label, p.probability, list(p.probabilities.values())) for p in expected]


def test_rows_and_columns_have_the_forms_of_tensorflow_serving(client):
    text = "a great film"
    rows = [text, {"texts": text}, {"b64": base64.b64encode(text.encode()).decode()}]
    by_row = post(client, PREDICT, {"instances": rows}).get_json()["predictions"]
    assert by_row[0] == by_row[1] == by_row[2]
    for inputs in ([text], {"texts": [text]}):
        answer = post(client, "/v1/models/reviews/versions/1:predict", {"inputs": inputs}).get_json()
        columns = answer["outputs"]
        assert list(columns) == list(by_row[0])
        assert columns["label"] == [by_row[0]["label"]]
        (found,) = columns["probabilities"]
        assert found == pytest.approx(by_row[0]["probabilities"], abs=1e-6)  # a batch of another size


def test_status_and_metadata_have_the_forms_of_tensorflow_serving_and_kserve(client):
    assert client.get("/v1/models").get_json() == {"models": ["reviews"]}
    status = client.get("/v1/models/reviews").get_json()
    assert status["ready"] is True
    assert status["model_version_status"][0]["state"] == "AVAILABLE"
    metadata = client.get("/v1/models/reviews/metadata").get_json()
    signature = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert set(signature["inputs"]) == {"texts"}
    assert set(signature["outputs"]) == {"label", "probability", "probabilities"}
    assert metadata["labels"] == list(LABELS)


def test_hugging_faces_clients_get_labels_by_score(client, run):
    (expected,) = predict(run, ["a dull mess"])
    (found,) = post(client, "/", {"inputs": "a dull mess"}).get_json()
    assert {each["label"]: each["score"] for each in found} == expected.probabilities
    assert [each["score"] for each in found] == sorted(expected.probabilities.values(), reverse=True)
    two = post(client, "/", {"inputs": ["a", "b"], "parameters": {"top_k": 1}}).get_json()
    assert [len(each) for each in two] == [1, 1]


def test_explanations_are_those_of_predict(client, run):
    content = {"instances": ["a dull film"], "parameters": {"words": 2}}
    (found,) = post(client, "/v1/models/reviews:explain", content).get_json()["explanations"]
    (expected,) = predict(run, ["a dull film"], explain=True)
    effects = {each.word: each.effect for each in expected.effects}
    assert found["label"] == expected.label
    assert all(effects[each["word"]] == each["effect"] for each in found["effects"])
    assert len(found["effects"]) <= 4


@pytest.mark.parametrize("keep", [[], ["id"]])
def test_csv_is_answered_with_a_row_for_each(client, run, keep):
    texts = ["a great film", 'with "quotes", and\na line break', "ünïcode 😀"]
    table = io.StringIO()
    csv.writer(table).writerows([["id", "text"], *enumerate(texts)])
    response = client.post(
        PREDICT,
        query_string={"keep": keep},
        data=table.getvalue().encode(),
        content_type="text/csv",
    )
    rows = list(csv.DictReader(io.StringIO(response.get_data(as_text=True))))
    assert [row["label"] for row in rows] == [each.label for each in predict(run, texts)]
    assert [row["number"] for row in rows] == ["0", "1", "2"]
    assert all(row["id"] == str(nth) for nth, row in enumerate(rows)) if keep else "id" not in rows[0]


def test_the_text_column_of_the_runs_data_is_looked_for_first(run, monkeypatch):
    own = RecordedSource(USUAL_FIELDS._replace(text_names=("Review text", "text")))
    monkeypatch.setattr(live_model, "recorded_source", lambda run: own)
    client = Client(create_app(run, name="reviews"))
    body, text = b"text,Review text\nnothing,a great film\n", "a great film"
    for header, expected in ((body, text), (body.replace(b"Review text", b"other"), "nothing")):
        answer = client.post(PREDICT, data=header, content_type="text/csv").get_data(as_text=True)
        (row,) = csv.DictReader(io.StringIO(answer))
        assert float(row["probability"]) == predict(run, [expected])[0].probability


def test_json_lines_of_many_texts_are_answered_in_their_order(client, run):
    texts = random_texts(2_500)
    lines = "".join(json.dumps({"review": text or "empty"}) + "\n" for text in texts)
    response = client.post(
        "/v1/models/reviews:predict?text_column=review",
        data=lines.encode(),
        content_type="application/x-ndjson",
    )
    found = [json.loads(line) for line in response.get_data(as_text=True).splitlines()]
    assert [each["number"] for each in found] == list(range(2_500))
    expected = predict(run, [text or "empty" for text in texts])
    assert [each["label"] for each in found] == [each.label for each in expected]


@pytest.mark.parametrize(
    ("path", "content", "code", "field", "message"),
    [
        (PREDICT, {"instances": ["a", 3]}, 400, "instances[1]", "is a number"),
        (PREDICT, {"instances": "a"}, 400, "instances", "is a text, expected a list"),
        (PREDICT, {}, 400, "instances", 'expected "instances"'),
        (PREDICT, {"inputs": {"words": []}}, 400, "inputs", 'expected "texts"'),
        (PREDICT, {"instances": [{"b64": "*"}]}, 400, "instances[0].b64", "base64"),
        (PREDICT, {"instances": ["a"] * 6}, 413, "instances", "expected 5 at most"),
        (PREDICT, [], 400, None, "is a list, expected an object"),
        ("/", {"inputs": {}}, 400, "inputs", "an object"),
        ("/", {"inputs": "a", "parameters": {"top_k": 0}}, 400, "parameters.top_k", "is 0"),
        ("/v1/models/other:predict", {"instances": []}, 404, "model", "expected reviews"),
        (PREDICT, {"instances": ["a" * 3_000]}, 413, "Content-Length", "2,000 bytes"),
    ],
)
def test_what_is_wrong_is_named(run, path, content, code, field, message):
    settings = ServingSettings(max_body=2_000, max_texts=5)
    client = Client(create_app(run, name="reviews", settings=settings))
    response = post(client, path, content)
    assert response.status_code == code
    assert message in response.get_json()["error"]
    assert response.get_json().get("field") == field


@pytest.mark.parametrize(
    ("body", "content_type", "code"),
    [
        (b"\xff\xfe", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"instances": [NaN]}', "application/json", 400),
        (b"{}", "multipart/form-data", 415),
        (b"\x1f\x8b\x08\x00", "text/csv", 415),
        (b"other\nno text column\n", "text/csv", 400),
        (b'{"text": 3}\n', "application/x-ndjson", 400),
        (b'{"text": "good"}\n{"text": ', "application/x-ndjson", 400),
    ],
)
def test_a_body_that_cannot_be_read_is_an_error_of_one_line(client, body, content_type, code):
    response = client.post(PREDICT, data=body, content_type=content_type)
    assert response.status_code == code
    assert "\n" not in response.get_json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [("GET", "/none", 404), ("PUT", "/healthz", 405), ("GET", PREDICT, 405)],
)
def test_unknown_paths_and_methods_are_json_too(client, method, path, code):
    response = client.open(path, method=method)
    assert response.status_code == code
    assert path in response.get_json()["error"]


def test_a_missing_column_is_told_with_the_parameter_that_names_it(client):
    response = client.post(PREDICT, data=b"id,words\n1,good\n", content_type="text/csv")
    assert response.status_code == 400
    error = response.get_json()["error"]
    assert "(?text_column=)" in error and "--" not in error


@pytest.mark.parametrize("rows", [b"a b\xe9\n", b'"never closed\n', b'"a" b\n', b"\xed\xa0\x80\n"])
def test_an_error_in_a_table_advises_no_option_of_the_command_line(client, rows):
    answer = client.post(PREDICT, data=b"text\n" + rows, content_type="text/csv")
    assert answer.status_code == 400
    assert re.search(r"^input:2: is not .*[a-z0-9')]$", answer.get_json()["error"])
    assert "--" not in answer.get_json()["error"]


def test_the_page_takes_nothing_from_elsewhere(client):
    page = client.get("/")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    for path in ("/", "/page.css", "/page.js"):
        text = client.get(path).get_data(as_text=True)
        assert "http" not in text.replace('http-equiv="', "")
        assert "innerHTML" not in text


def test_prometheus_counts_requests_errors_and_texts(run):
    client = Client(create_app(run, name="reviews"))
    post(client, PREDICT, {"instances": ["a", "b"]}).close()
    post(client, PREDICT, {"instances": [1]}).close()
    lines = client.get("/metrics").get_data(as_text=True).splitlines()
    assert 'lowmem_sentiment_requests_total{code="200",endpoint="predict"} 1.0' in lines
    assert 'lowmem_sentiment_requests_total{code="400",endpoint="predict"} 1.0' in lines
    assert "lowmem_sentiment_texts_total 2.0" in lines
    assert any(line.startswith("process_resident_memory_bytes ") for line in lines)


def test_the_log_has_each_request_and_never_a_text(run):
    events = []
    client = Client(create_app(run, name="reviews", log=events.append, access_log=True))
    post(client, PREDICT, {"instances": ["secret"]}).close()
    (event,) = events
    assert (event["path"], event["code"], event["texts"]) == (PREDICT, 200, 1)
    assert "secret" not in json.dumps(events)


def test_a_failure_is_an_answer_without_its_message_and_a_line_of_the_log(run, monkeypatch):
    events = []
    application = create_app(run, name="reviews", log=events.append)

    def fail(*_, **__):
        raise RuntimeError("a text of somebody's")

    monkeypatch.setattr(application.model.loaded.predictor, "predict", fail)
    response = post(Client(application), PREDICT, {"instances": ["a"]})
    assert (response.status_code, response.get_json()) == (500, {"error": "the server failed"})
    assert events[0]["kind"] == "RuntimeError"
    assert "somebody" not in json.dumps(events)


def test_more_requests_than_may_wait_are_told_to_come_again(run, monkeypatch):
    application = create_app(run, name="reviews", settings=ServingSettings(max_waiting=0))
    entered, leave = threading.Semaphore(0), threading.Event()
    real = application.model.loaded.predictor.predict

    def wait(*arguments, **options):
        entered.release()
        leave.wait(60)
        return real(*arguments, **options)

    monkeypatch.setattr(application.model.loaded.predictor, "predict", wait)
    codes = []

    def ask():
        response = post(Client(application), PREDICT, {"instances": ["a"]})
        codes.append(response.status_code)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert entered.acquire(timeout=60)
    response = post(Client(application), PREDICT, {"instances": ["a"]})
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
    assert Client(application).get("/healthz").status_code == 200
    leave.set()
    for thread in threads:
        thread.join(60)
    assert codes == [200] * 4


def test_what_cannot_be_served_is_refused(tmp_path, run):
    with pytest.raises(InputMissing, match="none"):
        create_app(tmp_path / "none")
    with pytest.raises(SettingsError, match="threshold"):
        create_app(run, decision=DecisionSettings(threshold=0.5))  # of three labels
    with pytest.raises(SettingsError, match="name is 'a/b'"):
        create_app(run, name="a/b")
    with pytest.raises(SettingsError, match="max_texts"):
        ServingSettings(max_texts=0)


def test_a_text_that_gets_no_label_gets_the_reason_in_every_protocol(noisy_run):
    evaluate(noisy_run, abstain="error=0.3")
    client = Client(create_app(noisy_run, name="reviews", decision=DecisionSettings(abstain="run")))
    texts = ["great the film was", "xyzzy"]
    rows = post(client, PREDICT, {"instances": texts}).get_json()["predictions"]
    assert [row["label"] for row in rows] == ["a", None]
    assert [row["reason"] for row in rows] == [None, FEW_KNOWN_WORDS]
    columns = post(client, PREDICT, {"inputs": texts}).get_json()["outputs"]
    assert columns["reason"] == [None, FEW_KNOWN_WORDS]
    best = [found[0] for found in post(client, "/", {"inputs": texts}).get_json()]
    assert [each["label"] for each in best] == ["a", None] and best[1]["reason"] == FEW_KNOWN_WORDS
    answered = post(client, PREDICT, {"instances": texts, "parameters": {"abstain": False}}).get_json()
    assert all(row["label"] and "reason" not in row for row in answered["predictions"])
    body = "text\n" + "\n".join(texts) + "\n"
    table = client.post(PREDICT, data=body.encode(), content_type="text/csv").get_data(as_text=True)
    assert [row["reason"] for row in csv.DictReader(io.StringIO(table))] == ["", FEW_KNOWN_WORDS]
    outputs = client.get("/v1/models/reviews/metadata").get_json()["metadata"]["signature_def"]
    assert "reason" in outputs["signature_def"]["serving_default"]["outputs"]


def test_a_request_may_ask_to_abstain_if_the_run_has_limits(noisy_run, run):
    asked = {"instances": ["xyzzy"], "parameters": {"abstain": True}}
    response = post(Client(create_app(run, name="reviews")), PREDICT, asked)
    assert response.status_code == 400 and response.get_json()["field"] == "parameters.abstain"
    assert "--abstain error=0.05" in response.get_json()["error"]
    evaluate(noisy_run, abstain="error=0.3")
    client = Client(create_app(noisy_run, name="reviews"))
    assert post(client, PREDICT, asked).get_json()["predictions"][0]["label"] is None
    asked["parameters"] = {"abstain": 1}
    assert "is a number, expected true or false" in post(client, PREDICT, asked).get_json()["error"]


CSV = "text,label,id\ngreat film,=1+1,7\nxyzzy,b,8\n"
LINES = '{"text": "great film", "label": null, "id": 7}\n{"text": "xyzzy", "label": "b", "id": 8}\n'


@pytest.mark.parametrize(
    ("body", "form", "content_type"),
    [(CSV, "csv", "text/csv"), (LINES, "json", "application/x-ndjson")],
)
def test_tables_are_written_as_predict_writes_them(run, tmp_path, capsys, body, form, content_type):
    """The columns, a kept one with an answer's name, and how true is written."""
    file = tmp_path / ("t.csv" if form == "csv" else "t.jsonl")
    file.write_text(body)
    assert main(["predict", str(run), "--file", str(file), f"--{form}", "--keep", "label", "id"]) == 0
    path = "/v1/models/reviews:predict?keep=label&keep=id"
    client = Client(create_app(run, name="reviews"))
    response = client.post(path, data=body.encode(), content_type=content_type)
    assert response.get_data(as_text=True).splitlines() == capsys.readouterr().out.splitlines()
