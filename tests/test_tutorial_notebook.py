"""The notebook runs as it stands, on handmade reviews; its stored outputs are of the real ones."""

import json

import pytest
from helpers import WORDS
from tutorial.execute import NOTEBOOK, execute

SCREEN = 45  # lines


@pytest.mark.slow
def test_every_cell_of_the_notebook_runs(imdb_files, tmp_path, monkeypatch):
    npz, _ = imdb_files
    monkeypatch.setenv("LOWMEM_SENTIMENT_IMDB_NPZ", str(npz))
    monkeypatch.chdir(tmp_path)
    text = NOTEBOOK.read_text().replace("10_000", str(len(WORDS) + 4))
    notebook = json.loads(text)
    execute(notebook)
    printed = "".join(
        line
        for cell in notebook["cells"]
        for output in cell.get("outputs", [])
        for line in output["text"]
    )
    assert f"Number of unique words: {len(WORDS) + 1}" in printed  # and the start of a review
    assert (tmp_path / "runs" / "course" / "weights.npz").exists()


def test_its_outputs_are_stored_and_fit_a_screen():
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    outputs = [output["text"] for cell in cells for output in cell["outputs"]]
    assert len(outputs) >= len(cells) - 1  # all but the import print something
    assert max(map(len, outputs)) <= SCREEN
    printed = "".join(line for lines in outputs for line in lines)
    for of_the_real_reviews in (
        "9998",
        "234.75892",
        "40000 reviews to train on",
        "Standard deviation: 173",
    ):
        assert of_the_real_reviews in printed
