import os
import subprocess
import sys

START = "import gc, sys; from lowmem_sentiment import runtime; runtime.start(); "


def run(code, **environment):
    command = [sys.executable, "-c", START + code]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_tensorflow_is_left_out_of_garbage_collection_and_the_rest_is_not():
    assert run("print(gc.get_freeze_count() > 100_000, gc.isenabled())") == "True True"


def test_packages_that_keras_imports_where_they_are_installed_stay_out(tmp_path):
    for name in ("sklearn", "matplotlib"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    code = "print({'sklearn', 'matplotlib'} & set(sys.modules)); import sklearn; print(sklearn.__name__)"
    assert run(code, PYTHONPATH=str(tmp_path)) == "set()\nsklearn"
