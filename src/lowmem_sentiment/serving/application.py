"""The WSGI application: routes, limits, errors, counts and the log."""

import json
import os
import re
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST
from werkzeug.exceptions import HTTPException, MethodNotAllowed, ServiceUnavailable
from werkzeug.routing import Map, Rule
from werkzeug.utils import send_file
from werkzeug.wrappers import Request, Response
from werkzeug.wsgi import wrap_file

from ..decisions.settings import DecisionSettings
from ..evaluation.predictions import prediction_form
from ..model.decision import Decision
from ..system.errors import SettingsError, printable
from ..text.reader_settings import ReaderSettings
from ..text.readers.formats import read_rows
from . import protocols
from .live_model import LiveModel, LoadedModel
from .metrics import Metrics
from .protocols import BadRequest
from .settings import ServingSettings
from .tables import FORMATS, answer_table

RUNNING = 4
"""Requests that are predicted at a time; Python runs one of them at once."""

_MODEL = "/v1/models/<name>"
_VERSION = f"{_MODEL}/versions/{protocols.VERSION}"

ROUTES = Map(
    [
        Rule("/", endpoint="page", defaults={"file": "index.html"}, methods=["GET"]),
        Rule("/", endpoint="hugging_face", methods=["POST"]),
        Rule("/<any('page.css', 'page.js'):file>", endpoint="page", methods=["GET"]),
        Rule("/healthz", endpoint="health", methods=["GET"]),
        Rule("/metrics", endpoint="metrics", methods=["GET"]),
        Rule("/v1/models", endpoint="models", methods=["GET"]),
        *(
            Rule(path + verb, endpoint=endpoint, methods=[method])
            for path in (_MODEL, _VERSION)
            for verb, endpoint, method in (
                ("", "status", "GET"),
                ("/metadata", "metadata", "GET"),
                (":predict", "predict", "POST"),
                (":explain", "explain", "POST"),
            )
        ),
    ]
)

_JSON = ("", "application/json", "application/x-www-form-urlencoded", "text/json")
"""Content types that are read as JSON; the third is curl's default."""

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

Log = Callable[[dict[str, Any]], None]


class _Request(Request):
    """A request, with its data for the counts and the log."""

    endpoint, texts = "none", 0


class Application:
    """A WSGI application that answers with the predictions of a run; any WSGI server can run it.

    Costs NumPy and the model, 45 MB at 10,000 words; TensorFlow is not imported.

    >>> application = create_app("runs/live", name="reviews")  # doctest: +SKIP
    """

    def __init__(
        self,
        run: str | Path,
        *,
        name: str | None = None,
        settings: ServingSettings | None = None,
        decision: DecisionSettings | None = None,
        watch: bool = True,
        log: Log = lambda event: None,
        access_log: bool = False,
    ):
        """Load the run; SettingsError, InputMissing or DataError if that fails.

        `name` is the model's name in addresses (default: the run directory's). `decision` tells how
        probabilities become answers, also those of later runs at the same path. With `watch` the model is
        replaced when `run` leads to new weights; otherwise the caller does that (`LiveModel.replace`).
        `log` is called with each event, an object for JSON: a replaced model, a failure, and, with
        `access_log`, each request, but never a text.
        """
        self.name = name or os.path.basename(os.path.abspath(run))
        if not re.fullmatch(r"[^\s/:?#%]+", self.name) or not self.name.isprintable():
            raise SettingsError(f"name is {self.name!r}, expected one without spaces and / : ? # %")
        self.model = LiveModel(run, decision or DecisionSettings(), log)
        self._settings = settings or ServingSettings()
        self._log, self._access_log, self._watch = log, access_log, watch
        self._metrics = Metrics()
        self._slots = threading.BoundedSemaphore(RUNNING)
        self._waiting = threading.BoundedSemaphore(RUNNING + self._settings.max_waiting)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request; an error is a JSON object with "error" and the wrong "field"."""
        begun = time.monotonic()
        request = _Request(environ)
        request.max_content_length = self._settings.max_body
        if self._watch and self.model.has_changed():
            self.model.replace_in_background()
        try:
            response = self._respond(request)
        except Exception as error:
            response = self._error(error, request)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.call_on_close(lambda: self._count(request, response, begun))
        return response(environ, start_response)

    def _respond(self, request: _Request) -> Response:
        request.endpoint, arguments = ROUTES.bind_to_environ(request.environ).match()
        if arguments.get("name") in (f"{self.name}:predict", f"{self.name}:explain"):
            raise MethodNotAllowed(["POST"])
        if arguments.get("name", self.name) != self.name:
            raise BadRequest(
                f"is {printable(arguments['name'], 100)}, expected {self.name}", "model", 404
            )
        model = self.model.loaded  # one for the whole request
        match request.endpoint:
            case "page":
                return _page(request, arguments["file"])
            case "health":
                return _json({"status": "ok"})
            case "metrics":
                return Response(self._metrics.to_text(), content_type=CONTENT_TYPE_LATEST)
            case "models":
                return _json({"models": [self.name]})
            case "status":
                return _json(protocols.status(self.name))
            case "metadata":
                known = model.predictor
                return _json(protocols.metadata(self.name, known.labels, known.tokenizer, model.abstains))
        with self._slot():
            if request.endpoint == "predict" and request.mimetype in FORMATS:
                return self._predict_table(request, model)
            return _json(self._predict(request, model))

    def _predict(self, request: _Request, model: LoadedModel) -> Any:
        """Answer a JSON request of any of the protocols."""
        if request.mimetype not in _JSON:
            raise BadRequest(
                f"{printable(request.mimetype, 100)} is not read here; expected application/json",
                "Content-Type",
                415,
            )
        content, limit = protocols.parse_object(request.get_data(cache=False)), self._settings.max_texts
        predictor = model.predictor
        limit = min(limit, protocols.texts_at_a_time(len(predictor.labels)))
        decision = _decision(model, protocols.wants_to_abstain(content), "parameters.abstain")
        hugging_face = request.endpoint == "hugging_face"
        read = protocols.hugging_face_texts if hugging_face else protocols.tensorflow_texts
        texts = read(content, limit)
        predictions = predictor.predict(texts, decision, explain=request.endpoint == "explain")
        request.texts += len(texts)
        if hugging_face:
            return protocols.hugging_face_answer(content, predictions)
        if request.endpoint == "explain":
            return protocols.explanations(content, predictions, decision.abstains)
        return protocols.tensorflow_answer(content, predictions, predictor.labels, decision.abstains)

    def _predict_table(self, request: _Request, model: LoadedModel) -> Response:
        """Answer CSV with CSV, and JSON Lines with JSON Lines."""
        wanted, asked = request.args, request.args.get("abstain")
        if asked not in (None, "true", "false"):
            raise BadRequest(f"is {printable(asked, 60)}, expected true or false", "abstain")
        decision = _decision(model, None if asked is None else asked == "true", "abstain")

        def predict(texts: list[bytes]) -> list[dict[str, Any]]:
            request.texts += len(texts)
            predictions = model.predictor.predict(texts, decision)
            return [each.to_json(reason=decision.abstains) for each in predictions]

        labels, format = model.predictor.labels, FORMATS[request.mimetype]
        form = prediction_form(wanted.getlist("keep"), labels, decision, csv=format == "csv")
        settings = ReaderSettings(format=format, text_column=wanted.get("text_column"))
        block = protocols.texts_at_a_time(len(labels))
        read = partial(read_rows, settings=settings, text_names=model.text_names, keep=form.keep)
        answer = answer_table(request.stream, read, form, predict, block)
        content_type = "text/csv; charset=utf-8" if format == "csv" else request.mimetype
        return Response(wrap_file(request.environ, answer), content_type=content_type)

    @contextmanager
    def _slot(self) -> Iterator[None]:
        """Wait until fewer than `RUNNING` requests are predicted, unless enough wait already."""
        if not self._waiting.acquire(blocking=False):
            raise ServiceUnavailable(retry_after=1)
        try:
            with self._slots:
                yield
        finally:
            self._waiting.release()

    def _error(self, error: Exception, request: Request) -> Response:
        """Return the answer to a request that failed."""
        if isinstance(error, BadRequest):
            field = {"field": error.field} if error.field else {}
            return _json({"error": f"{error.field or ''} {error}".strip(), **field}, error.code)
        if isinstance(error, MemoryError):
            error = ServiceUnavailable(retry_after=1)
        if isinstance(error, HTTPException):
            here = f"{request.method} {printable(request.path, 200)}"
            known = {
                404: f"there is no {here}",
                405: f"{here} is not possible",
                413: f"the body is larger than {self._settings.max_body:,} bytes",
                503: "the server is busy; try again",
            }
            text = known.get(error.code or 0) or printable(error.description or error.name, 1_000)
            field = {"field": "Content-Length"} if error.code == 413 else {}
            response = error.get_response(request.environ)  # with headers such as Allow
            response.set_data(json.dumps({"error": text, **field}))
            response.content_type = "application/json"
            return response
        *_, place = traceback.extract_tb(error.__traceback__)
        where = f"{Path(place.filename).name}:{place.lineno}"
        # Not its message, which may quote a text.
        self._log({"event": "error", "kind": type(error).__name__, "at": where})
        return _json({"error": "the server failed"}, 500)

    def _count(self, request: _Request, response: Response, begun: float) -> None:
        seconds = time.monotonic() - begun
        self._metrics.count(request.endpoint, response.status_code, seconds, request.texts)
        if self._access_log:
            about = {"remote": request.remote_addr, "method": request.method, "path": request.path}
            result = {"code": response.status_code, "texts": request.texts, "seconds": round(seconds, 6)}
            self._log({"event": "request", **about, **result})


create_app = Application


def _decision(model: LoadedModel, abstain: bool | None, field: str) -> Decision:
    """Return how a request that asks to `abstain` or not (None: as the server does) is answered."""
    decision = model.decisions.get(model.abstains if abstain is None else abstain)
    if decision is None:
        raise BadRequest(
            "is not possible here; expected a run with limits (evaluate RUN --abstain error=0.05), and a "
            "server without --threshold",
            field,
        )
    return decision


def _json(content: Any, code: int = 200) -> Response:
    return Response(json.dumps(content), code, content_type="application/json")


def _page(request: Request, file: str) -> Response:
    response = send_file(Path(__file__).with_name("page") / file, request.environ)
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
