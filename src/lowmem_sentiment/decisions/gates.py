"""Limits on metrics that decide an exit code: ``accuracy=0.88``, ``recall:spam=0.9``."""

import math
from collections.abc import Iterable, Mapping, Sequence

from ..system.errors import SettingsError


def parse_limit(text: str) -> tuple[str, float]:
    """Read "METRIC=X" or "METRIC:LABEL=X"; SettingsError for anything else.

    >>> parse_limit("recall:spam=0.9")
    ('recall:spam', 0.9)
    """
    name, equals, value = text.rpartition("=")
    try:
        limit = float(value)
    except ValueError:
        limit = math.nan
    if not equals or not name or math.isnan(limit):
        raise SettingsError(f"fail_under is {text!r}, expected METRIC=NUMBER, such as accuracy=0.88")
    if name not in ("loss", "brier") and not 0 <= limit <= 1:  # Brier: 2 at most with more labels
        raise SettingsError(f"fail_under is {text!r}, expected a number from 0 to 1, such as 0.88")
    return name, limit


def check_metrics(names: Iterable[str], known: Sequence[str]) -> None:
    """Raise SettingsError for the first name that is not one of the `known` metrics."""
    for name in names:
        if name not in known:
            shown = known if len(known) <= 60 else [*known[:60], "..."]
            raise SettingsError(f"no metric {name!r}, expected one of {', '.join(shown)}")


def missed(metrics: Mapping[str, float], limits: Mapping[str, float]) -> list[str]:
    """Return a line for each metric below its limit; for loss and other errors, above it."""
    lines = []
    for name, limit in limits.items():
        if name not in metrics:  # AUC if all reviews have one label
            continue
        value, lower = metrics[name], name in ("loss", "brier", "calibration_error")
        by = value - limit if lower else limit - value
        if not by <= 0:  # so that NaN counts as missed
            lines.append(f"{name} is {value:.5f}, {by:.5f} {'above' if lower else 'below'} {limit}")
    return lines
