"""Run the cells of the notebook beside this file, and with --write store what they print.

It needs no Jupyter: the cells are plain Python. The working directory gets data/course and runs/course.
"""

import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

NOTEBOOK = Path(__file__).with_name("neural_network.ipynb")


def execute(notebook: dict[str, Any]) -> None:
    """Run every code cell in one namespace, and replace its outputs."""
    names: dict[str, Any] = {}
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for count, cell in enumerate(cells, 1):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec("".join(cell["source"]), names)
        lines = printed.getvalue().splitlines(keepends=True)
        cell["execution_count"] = count
        cell["outputs"] = [{"name": "stdout", "output_type": "stream", "text": lines}] if lines else []


def main() -> None:
    notebook = json.loads(NOTEBOOK.read_text())
    execute(notebook)
    if "--write" in sys.argv[1:]:
        NOTEBOOK.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
