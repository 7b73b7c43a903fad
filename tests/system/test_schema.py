import pytest

from lowmem_sentiment.system.errors import DataError, InputMissing
from lowmem_sentiment.system.schema import read_json, write_json


def test_json_comes_back_and_a_flipped_bit_is_found(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"mean": 234.75892, "name": "é", "none": None})
    assert read_json(path)["mean"] == 234.75892
    whole = path.read_bytes()
    for position in range(len(whole)):
        for bit in (0, 3, 7):
            damaged = bytearray(whole)
            damaged[position] ^= 1 << bit
            path.write_bytes(damaged)
            try:
                content = read_json(path)
            except DataError as error:
                assert str(path) in str(error)
            else:  # white space between two values
                path.write_bytes(whole)
                assert content == read_json(path)
    path.write_bytes(whole[:-5])
    with pytest.raises(DataError, match="is damaged"):
        read_json(path)
    path.unlink()
    with pytest.raises(InputMissing, match="is missing"):
        read_json(path)
