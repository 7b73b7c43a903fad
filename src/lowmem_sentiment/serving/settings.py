"""The settings of `serve`."""

from dataclasses import dataclass

from ..system.settings import SIZE, Settings, setting


@dataclass(frozen=True)
class ServingSettings(Settings):
    """The limits of the application; SettingsError for a value out of its range."""

    max_body: int = setting(
        1 << 20, "bytes of a request's body (default: 1Mi)", metavar="SIZE", read=SIZE, at_least=1
    )
    max_texts: int = setting(1_000, "texts of a JSON request", at_least=1)
    max_waiting: int = setting(
        64, "requests that may wait for others; further ones are answered with 503", at_least=0
    )
    read_timeout: int = setting(
        10, "seconds that a client may be silent within a request", metavar="SECONDS", at_least=1
    )
