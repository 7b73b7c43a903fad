"""JSON requests and answers of TensorFlow Serving, KServe and Hugging Face.

TensorFlow Serving's REST API: https://www.tensorflow.org/tfx/serving/api_rest. KServe's V1 protocol:
https://kserve.github.io/website/docs/concepts/architecture/data-plane/v1-protocol. The fields have the
names of the exported SavedModel's signature: the input "texts", the outputs "label", "probability" and
"probabilities".
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..evaluation.predict import Prediction
from ..system.errors import printable
from ..text.rows import MAX_TEXT_BYTES

VERSION = "1"
"""The only version, for clients that name versions."""


def texts_at_a_time(labels: int) -> int:
    """Return how many texts are predicted together: 100,000 probabilities are 12 MB by name."""
    return max(1, 100_000 // labels)


class BadRequest(Exception):
    """A request whose `field` is wrong: what was received, and what was expected."""

    def __init__(self, message: str, field: str | None = None, code: int = 400):
        super().__init__(message)
        self.field, self.code = field, code


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a request's body."""
    try:
        content = json.loads(body, parse_constant=_refuse_constant)
    except RecursionError:
        raise BadRequest("the body is nested too deeply") from None
    except ValueError as error:  # JSON's or UTF-8's
        raise BadRequest(f"the body is not JSON: {printable(error, 200)}") from None
    if not isinstance(content, dict):
        raise BadRequest(f"the body is {_kind(content)}, expected an object")
    return content


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def tensorflow_texts(content: Mapping[str, Any], limit: int) -> list[bytes]:
    """Return the texts of TensorFlow Serving's "instances" (rows) or "inputs" (columns)."""
    if content.get("signature_name", "serving_default") != "serving_default":
        raise BadRequest("expected serving_default", "signature_name")
    field = "instances" if "instances" in content else "inputs"
    if field not in content:
        raise BadRequest('expected "instances": ["text", ...] or "inputs": {"texts": [...]}', "instances")
    inputs = content[field]
    if field == "inputs" and isinstance(inputs, dict):
        inputs, field = _named_input(inputs, field), "inputs.texts"
    return _texts(inputs, field, limit)


def wants_to_abstain(content: Mapping[str, Any]) -> bool | None:
    """Return whether a request asks for no label where the model is not sure; None if it does not say."""
    value = _parameter(content, "abstain")
    if value is not None and not isinstance(value, bool):
        raise BadRequest(f"is {_kind(value)}, expected true or false", "parameters.abstain")
    return value


def tensorflow_answer(
    content: Mapping[str, Any], predictions: Sequence[Prediction], labels: list[str], reasons: bool
) -> dict[str, Any]:
    """Return the answer in the form of the request: a row per text, or a column per output.

    `reasons` adds why a text has no label, or null.
    """
    columns = {
        "label": [each.label for each in predictions],
        **({"reason": [each.reason for each in predictions]} if reasons else {}),
        "probability": [each.probability for each in predictions],
        "probabilities": [[each.probabilities[label] for label in labels] for each in predictions],
    }
    if "instances" not in content:
        return {"outputs": columns}
    rows = zip(*columns.values(), strict=True)
    return {"predictions": [dict(zip(columns, row, strict=True)) for row in rows]}


def explanations(
    content: Mapping[str, Any], predictions: Sequence[Prediction], reasons: bool
) -> dict[str, Any]:
    """Return KServe's answer to `:explain`: each prediction with its strongest words."""
    words = _whole_number(content, "words") or 5
    shown = (each.with_strongest(words) for each in predictions)
    return {"explanations": [each.to_json(reason=reasons) for each in shown]}


def hugging_face_texts(content: Mapping[str, Any], limit: int) -> list[bytes]:
    """Return the texts of "inputs": one, or a list of them."""
    if "inputs" not in content:
        raise BadRequest('expected "inputs": "text", or a list of texts', "inputs")
    inputs = content["inputs"]
    return _texts([inputs] if isinstance(inputs, str) else inputs, "inputs", limit)


def hugging_face_answer(
    content: Mapping[str, Any], predictions: Sequence[Prediction]
) -> list[list[dict[str, Any]]]:
    """Return for each text its labels, the most probable first: `top_k` of them, or all.

    Only null and the reason is there for a text that gets no label.
    """
    top = _whole_number(content, "top_k")
    return [
        [{"label": None, "reason": each.reason, "score": each.probability}]
        if each.label is None
        else [
            {"label": label, "score": score}
            for label, score in sorted(each.probabilities.items(), key=lambda pair: -pair[1])[:top]
        ]
        for each in predictions
    ]


def status(name: str) -> dict[str, Any]:
    """Return a model's status, TensorFlow Serving's and KServe's in one object."""
    state = {"error_code": "OK", "error_message": ""}
    version = {"version": VERSION, "state": "AVAILABLE", "status": state}
    return {"name": name, "ready": True, "model_version_status": [version]}


def metadata(name: str, labels: list[str], tokenizer: str, reasons: bool) -> dict[str, Any]:
    """Return TensorFlow Serving's description of the signature, with our labels beside it.

    `reasons` says that a text may get no label, but null, and the reason.
    """

    def tensor(name: str, dtype: str, *sizes: int) -> dict[str, Any]:
        dims = [{"size": str(size), "name": ""} for size in (-1, *sizes)]
        return {"name": name, "dtype": dtype, "tensor_shape": {"dim": dims, "unknown_rank": False}}

    signature = {
        "inputs": {"texts": tensor("texts", "DT_STRING")},
        "outputs": {
            "label": tensor("label", "DT_STRING"),
            **({"reason": tensor("reason", "DT_STRING")} if reasons else {}),
            "probability": tensor("probability", "DT_FLOAT"),
            "probabilities": tensor("probabilities", "DT_FLOAT", len(labels)),
        },
        "method_name": "tensorflow/serving/predict",
    }
    return {
        "model_spec": {"name": name, "signature_name": "", "version": VERSION},
        "metadata": {"signature_def": {"signature_def": {"serving_default": signature}}},
        "labels": labels,
        "tokenizer": tokenizer,
    }


def _named_input(row: Mapping[str, Any], field: str) -> Any:
    """Return the value of the only input, "texts"."""
    if list(row) != ["texts"]:
        raise BadRequest(f'has the keys {printable(list(row), 200)}, expected "texts"', field)
    return row["texts"]


def _texts(values: Any, field: str, limit: int) -> list[bytes]:
    """Return texts as UTF-8; a text may stand in {"texts": ...} and as {"b64": ...}."""
    if not isinstance(values, list):
        raise BadRequest(f"is {_kind(values)}, expected a list of texts", field)
    if len(values) > limit:
        raise BadRequest(f"has {len(values):,} texts, expected {limit:,} at most", field, 413)
    return [_text(value, f"{field}[{nth}]") for nth, value in enumerate(values)]


def _text(value: Any, field: str) -> bytes:
    if isinstance(value, dict) and "b64" not in value:
        value, field = _named_input(value, field), f"{field}.texts"
    if isinstance(value, dict) and isinstance(value.get("b64"), str):
        try:
            text = base64.b64decode(value["b64"], validate=True)
        except (binascii.Error, ValueError):
            raise BadRequest("is not base64", f"{field}.b64") from None
    elif isinstance(value, str):
        text = value.encode("utf-8", "replace")  # half a surrogate pair is not a character
    else:
        raise BadRequest(f"is {_kind(value)}, expected a text", field)
    if len(text) > MAX_TEXT_BYTES:
        raise BadRequest(f"is longer than {MAX_TEXT_BYTES >> 20} MiB", field, 413)
    return text


def _parameter(content: Mapping[str, Any], name: str) -> Any:
    parameters = content.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise BadRequest(f"is {_kind(parameters)}, expected an object", "parameters")
    return parameters.get(name)


def _whole_number(content: Mapping[str, Any], name: str) -> int | None:
    """Return a parameter of 1 or more; None if it is not given."""
    value = _parameter(content, name)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise BadRequest(
            f"is {printable(json.dumps(value), 60)}, expected a whole number of 1 or more",
            f"parameters.{name}",
        )
    return value


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
