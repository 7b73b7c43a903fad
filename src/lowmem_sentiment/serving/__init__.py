"""A trained model behind HTTP: `create_app` makes a WSGI application of a run."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .application import create_app

__all__ = ["create_app"]


def __getattr__(name: str) -> Any:
    """Import on demand: NumPy and werkzeug take 0.2 s, and ``serve --help`` does not need them."""
    if name != "create_app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .application import create_app

    return create_app
