import ast
import subprocess
import sys
from pathlib import Path

import pytest

import lowmem_sentiment


def test_every_verb_is_importable_from_the_package():
    for name in lowmem_sentiment.__all__:
        assert getattr(lowmem_sentiment, name) is not None
    assert set(lowmem_sentiment.__all__) <= set(dir(lowmem_sentiment))


def test_what_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'predicate'"):
        _ = lowmem_sentiment.predicate


def test_tensorflow_waits_until_a_verb_needs_it():
    code = (
        "import sys, lowmem_sentiment\n"
        "assert 'numpy' not in sys.modules\n"
        "from lowmem_sentiment import Dataset, Predictor, explore, export, find_imdb_source\n"
        "from lowmem_sentiment import TrainingSettings, predict, prepare\n"
        "assert not {'tensorflow', 'keras', 'tensorboard'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=600)


def test_a_checker_and_python_find_each_name_in_the_same_module():
    tree = ast.parse(Path(lowmem_sentiment.__file__).read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level]
    assert {each.names[0].name: each.module for each in imports} == lowmem_sentiment._MODULES


USER = """
from lowmem_sentiment import TrainingSettings, evaluate, explore, find_imdb_source
from lowmem_sentiment import predict, prepare, train, tune

dataset = prepare(find_imdb_source(), "data/imdb")
reveal_type(dataset)
reveal_type(explore(dataset))
reveal_type(train(dataset, "runs/first", TrainingSettings(epochs=2)))
reveal_type(evaluate("runs/first"))
reveal_type(tune(dataset, "search"))
reveal_type(predict("runs/first", ["A moving film."])[0].label)
from lowmem_sentiment import no_such_name
"""


@pytest.mark.slow
def test_a_type_checker_sees_what_the_public_names_return(tmp_path):
    pytest.importorskip("mypy")
    (tmp_path / "user.py").write_text(USER)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", "user.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    revealed = [line.split('"')[1] for line in done.stdout.splitlines() if "Revealed type" in line]
    assert len(revealed) == 6 and "Any" not in revealed, done.stdout
    assert 'has no attribute "no_such_name"' in done.stdout
