"""The WSGI application: routes, limits, errors, counts and the log."""

import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response
from werkzeug.wsgi import wrap_file

from ..decisions.settings import DecisionSettings
from ..evaluation.predict import Prediction
from ..model.decision import Decision
from ..system.errors import SettingsError, printable
from . import protocols
from .live_model import LiveModel, LoadedModel
from .metrics import CONTENT_TYPE, Metrics
from .protocols import BadRequest
from .settings import ServingSettings
from .tables import FORMATS, TableRequest, answer_table

RUNNING = 4
"""Requests that are predicted at a time; Python runs one of them at once."""

_MODEL = "/v1/models/<name>"
_VERSION = f"{_MODEL}/versions/{protocols.VERSION}"

ROUTES = Map(
    [
        Rule("/", endpoint="page", methods=["GET"]),
        Rule("/", endpoint="hugging_face", methods=["POST"]),
        Rule("/page.css", endpoint="page", methods=["GET"]),
        Rule("/page.js", endpoint="page", methods=["GET"]),
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

_PAGES = {"/": "index.html", "/page.css": "page.css", "/page.js": "page.js"}
_TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript"}

Log = Callable[[dict[str, Any]], None]


class Busy(Exception):
    """The maximum of requests are waiting."""


class Application:
    """A WSGI application that answers with a run's predictions; `create_app` makes one."""

    def __init__(
        self,
        model: LiveModel,
        name: str,
        settings: ServingSettings,
        log: Log,
        access_log: bool,
        watch: bool,
    ):
        self.model, self.name, self._settings = model, name, settings
        self._log, self._access_log, self._watch = log, access_log, watch
        self._metrics = Metrics()
        self._slots = threading.BoundedSemaphore(RUNNING)
        self._waiting = threading.BoundedSemaphore(RUNNING + settings.max_waiting)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request; an error is a JSON object with "error" and the wrong "field"."""
        begun = time.monotonic()
        request = Request(environ)
        request.max_content_length = self._settings.max_body
        if self._watch and self.model.has_changed():
            self.model.replace_in_background()
        seen = _Seen()
        try:
            response = self._respond(request, seen)
        except Exception as error:
            response = self._error(error, request)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.call_on_close(lambda: self._count(request, response, seen, begun))
        return response(environ, start_response)

    def _respond(self, request: Request, seen: "_Seen") -> Response:
        seen.endpoint, arguments = ROUTES.bind_to_environ(request.environ).match()
        if arguments.get("name") in (f"{self.name}:predict", f"{self.name}:explain"):
            raise MethodNotAllowed(["POST"])
        if arguments.get("name", self.name) != self.name:
            raise BadRequest(
                f"is {printable(arguments['name'], 100)}, expected {self.name}", "model", 404
            )
        model = self.model.loaded  # one for the whole request
        match seen.endpoint:
            case "page":
                return _page(request.path)
            case "health":
                return _json({"status": "ok"})
            case "metrics":
                return Response(self._metrics.to_text(), content_type=CONTENT_TYPE)
            case "models":
                return _json({"models": [self.name]})
            case "status":
                return _json(protocols.status(self.name))
            case "metadata":
                known = model.predictor
                return _json(protocols.metadata(self.name, known.labels, known.tokenizer, model.abstains))
        with self._slot():
            if seen.endpoint == "predict" and request.mimetype in FORMATS:
                return self._predict_table(request, model, seen)
            return _json(self._predict(request, model, seen))

    def _predict(self, request: Request, model: LoadedModel, seen: "_Seen") -> Any:
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
        if seen.endpoint == "hugging_face":
            texts = protocols.hugging_face_texts(content, limit)
        else:
            texts = protocols.tensorflow_texts(content, limit)
        predictions = predictor.predict(texts, decision, explain=seen.endpoint == "explain")
        seen.texts += len(texts)
        if seen.endpoint == "hugging_face":
            return protocols.hugging_face_answer(content, predictions)
        if seen.endpoint == "explain":
            return protocols.explanations(content, predictions)
        return protocols.tensorflow_answer(content, predictions, predictor.labels, decision.abstains)

    def _predict_table(self, request: Request, model: LoadedModel, seen: "_Seen") -> Response:
        """Answer CSV with CSV, and JSON Lines with JSON Lines."""
        wanted = TableRequest(
            FORMATS[request.mimetype],
            request.args.get("text_column"),
            tuple(request.args.getlist("keep")),
        )
        asked = request.args.get("abstain")
        if asked not in (None, "true", "false"):
            raise BadRequest(f"is {printable(asked, 60)}, expected true or false", "abstain")
        decision = _decision(model, None if asked is None else asked == "true", "abstain")

        def predict(texts: list[bytes]) -> list[Prediction]:
            seen.texts += len(texts)
            return model.predictor.predict(texts, decision)

        labels = model.predictor.labels
        answer = answer_table(request.stream, wanted, labels, predict, reasons=decision.abstains)
        content_type = "text/csv; charset=utf-8" if wanted.format == "csv" else request.mimetype
        return Response(wrap_file(request.environ, answer), content_type=content_type)

    @contextmanager
    def _slot(self) -> Iterator[None]:
        """Wait until fewer than `RUNNING` requests are predicted; Busy if enough wait already."""
        if not self._waiting.acquire(blocking=False):
            raise Busy
        try:
            with self._slots:
                yield
        finally:
            self._waiting.release()

    def _error(self, error: Exception, request: Request) -> Response:
        """Return the answer to a request that failed."""
        match error:
            case BadRequest():
                where = {"field": error.field} if error.field else {}
                return _json({"error": f"{error.field or ''} {error}".strip(), **where}, error.code)
            case Busy() | MemoryError():
                response = _json({"error": "the server is busy; try again"}, 503)
                response.headers["Retry-After"] = "1"
                return response
            case HTTPException(code=int(code)):
                if code == 413:
                    text = f"the body is larger than {self._settings.max_body:,} bytes"
                    return _json({"error": text, "field": "Content-Length"}, 413)
                here = f"{request.method} {printable(request.path, 200)}"
                known = {404: f"there is no {here}", 405: f"{here} is not possible"}
                text = printable(error.description or error.name, 1_000)
                response = _json({"error": known.get(code, text)}, code)
                for name, value in error.get_headers(request.environ):
                    if name == "Allow":
                        response.headers[name] = value
                return response
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        where = f"{Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}" if place else ""
        # Not its message, which may quote a text.
        self._log({"event": "error", "kind": type(error).__name__, "at": where})
        return _json({"error": "the server failed"}, 500)

    def _count(self, request: Request, response: Response, seen: "_Seen", begun: float) -> None:
        seconds = time.monotonic() - begun
        self._metrics.count(seen.endpoint, response.status_code, seconds, seen.texts)
        if self._access_log:
            self._log(
                {
                    "event": "request",
                    "remote": request.remote_addr,
                    "method": request.method,
                    "path": request.path,
                    "code": response.status_code,
                    "texts": seen.texts,
                    "seconds": round(seconds, 6),
                }
            )


class _Seen:
    """Data on a request for the counts and the log."""

    def __init__(self) -> None:
        self.endpoint, self.texts = "none", 0


def create_app(
    run: str | Path,
    *,
    name: str | None = None,
    settings: ServingSettings | None = None,
    decision: DecisionSettings | None = None,
    watch: bool = True,
    log: Log = lambda event: None,
    access_log: bool = False,
) -> Application:
    """Return a WSGI application that answers with the predictions of a run; any WSGI server can run it.

    `name` is the model's name in addresses (default: the run directory's). `decision` tells how
    probabilities become answers, also those of later runs at the same path. With `watch` the model is
    replaced when `run` leads to new weights; otherwise the caller does that (`LiveModel.replace`). `log`
    is called with each event, an object for JSON: a replaced model, a failure, and, with `access_log`,
    each request, but never a text.

    Costs NumPy and the model, 45 MB at 10,000 words; TensorFlow is not imported. Raises SettingsError,
    InputMissing, DataError.

    >>> application = create_app("runs/live", name="reviews")  # doctest: +SKIP
    """
    name = name or os.path.basename(os.path.abspath(run))
    if not re.fullmatch(r"[^\s/:?#%]+", name) or not name.isprintable():
        raise SettingsError(f"name is {name!r}, expected one without spaces and / : ? # %")
    model = LiveModel(run, decision or DecisionSettings(), log)
    return Application(model, name, settings or ServingSettings(), log, access_log, watch)


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


def _page(path: str) -> Response:
    file = files(__package__).joinpath("page", _PAGES[path])
    response = Response(file.read_bytes(), content_type=_TYPES[Path(_PAGES[path]).suffix])
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
