import subprocess
import sys

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
