import os
import subprocess

import pytest

from lowmem_sentiment.system.errors import DataError, InputMissing, OutputError, OutputExists
from lowmem_sentiment.system.files import new_directory, replace_file
from lowmem_sentiment.system.schema import read_json, write_json


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.txt"
    with pytest.raises(ZeroDivisionError), replace_file(path) as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    with replace_file(path) as file:
        file.write(b"old")
    with pytest.raises(ZeroDivisionError), replace_file(path) as file:
        file.write(b"new")
        raise ZeroDivisionError
    assert path.read_bytes() == b"old"


def test_a_directory_appears_whole_or_not_at_all(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(ZeroDivisionError), new_directory(out) as directory:
        (directory / "a").write_text("half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_started_over(tmp_path):
    left = tmp_path / "out.unfinished"
    left.mkdir()
    (left / "old").write_text("left")
    with new_directory(tmp_path / "out") as directory:
        (directory / "new").write_text("")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["new"]
    assert not left.exists()


def test_an_existing_directory_is_replaced_only_when_asked(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").write_text("")
    with pytest.raises(OutputExists, match="--overwrite"), new_directory(out):
        pass
    with pytest.raises(ZeroDivisionError), new_directory(out, overwrite=True):
        raise ZeroDivisionError
    assert (out / "old").exists()
    with new_directory(out, overwrite=True) as directory:
        (directory / "new").write_text("")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["new", "out"]


def test_a_file_is_never_replaced_by_a_directory(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputExists, match="is a file"), new_directory(tmp_path / "out", overwrite=True):
        pass


@pytest.fixture
def full_disk(tmp_path):
    """A file system of 64 KB."""
    mount = tmp_path / "small"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(mount)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a small tmpfs can be mounted by root only")
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


def test_a_full_disk_is_told_and_leaves_nothing(full_disk):
    with pytest.raises(OutputError, match="No space left"), replace_file(full_disk / "a") as file:
        file.write(bytes(1 << 20))
    with pytest.raises(OutputError, match="No space left"), new_directory(full_disk / "d") as directory:
        (directory / "a").write_bytes(bytes(1 << 20))
    assert list(full_disk.iterdir()) == []


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
