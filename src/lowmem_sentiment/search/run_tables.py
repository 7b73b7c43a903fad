"""Tables of runs, as `sweep` and `tune` write them."""

import csv
import io
from pathlib import Path
from typing import Any

from ..system.files import replace_file
from ..system.settings import plain


def write_csv(rows: list[dict[str, Any]], path: Path) -> None:
    """Write a table with a header, atomically; OutputError when the system refuses."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    with replace_file(path) as file, io.TextIOWrapper(file, "utf-8", newline="") as text:
        writer = csv.DictWriter(text, names)
        writer.writeheader()
        for row in rows:
            writer.writerow({name: plain(value) for name, value in row.items()})
