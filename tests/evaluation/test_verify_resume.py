import shutil

import pytest

from lowmem_sentiment.dataset.reader import Dataset
from lowmem_sentiment.dataset.verify import verify
from lowmem_sentiment.system.errors import DataError


def test_a_whole_dataset_is_said_to_be_whole(dataset):
    assert verify(dataset)["reviews"] == 200


@pytest.mark.parametrize(
    "name", ["train-00001-of-*", "test-00000-of-*", "vocabulary.txt", "dataset.json"]
)
def test_a_flipped_bit_anywhere_in_a_dataset_is_found(dataset, tmp_path, name):
    copy = shutil.copytree(dataset.directory, tmp_path / "copy")
    (path,) = copy.glob(name)
    whole = path.read_bytes()
    for position in range(0, len(whole), max(1, len(whole) // 60)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="is damaged"):
            verify(Dataset(copy))
