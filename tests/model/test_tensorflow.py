import os
import subprocess
import sys

import pytest

START = "import gc, sys; from lowmem_sentiment.model import tensorflow as startup; "


def run(code, **environment):
    command = [sys.executable, "-c", START + code]
    environment = {
        name: value for name, value in {**os.environ, **environment}.items() if value is not None
    }
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_tensorflow_is_left_out_of_garbage_collection_and_the_rest_is_not():
    assert run("print(gc.get_freeze_count() > 100_000, gc.isenabled())") == "True True"


@pytest.mark.slow
def test_packages_that_keras_imports_where_they_are_installed_stay_out(tmp_path):
    for name in ("sklearn", "matplotlib"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    code = "print({'sklearn', 'matplotlib'} & set(sys.modules)); import sklearn; print(sklearn.__name__)"
    assert run(code, PYTHONPATH=str(tmp_path)) == "set()\nsklearn"


THREADS = "import tensorflow as tf; read = tf.config.threading; "
UNSET = {"TF_NUM_INTEROP_THREADS": None, "TF_NUM_INTRAOP_THREADS": None}
TELL = "; print(read.get_inter_op_parallelism_threads(), read.get_intra_op_parallelism_threads())"


@pytest.mark.slow
def test_a_small_step_runs_on_one_thread_and_a_large_one_on_all_for_each_operation():
    assert run(f"{THREADS}startup.set_threads(32 * 505_201){TELL}", **UNSET) == "1 1"
    assert run(f"{THREADS}startup.set_threads(1_024 * 505_201){TELL}", **UNSET) == "1 0"


@pytest.mark.slow
def test_the_threads_that_tensorflows_variables_ask_for_are_left():
    environment = {"TF_NUM_INTEROP_THREADS": "2", "TF_NUM_INTRAOP_THREADS": "4"}
    assert run(f"{THREADS}startup.set_threads(1){TELL}", **environment) == "0 0"


@pytest.mark.slow
def test_threads_stay_as_they_are_once_tensorflow_runs():
    code = f"{THREADS}tf.constant(1) + 1; startup.set_threads(1); startup.set_threads(1 << 30){TELL}"
    assert run(code, **UNSET) == "0 0"


@pytest.mark.slow
def test_train_from_python_sets_them_by_its_batches_and_imports_as_the_command_does(dataset, tmp_path):
    folders = str(dataset.directory), str(tmp_path / "run")
    code = f"from lowmem_sentiment import train; train(*{folders!r})"
    code += f"; import gc; {THREADS}print(gc.get_freeze_count() > 100_000){TELL}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-2:] == ["True", "1 1"]
