import fcntl
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lowmem_sentiment.system.errors import DataError, InputMissing, OutputError, OutputExists
from lowmem_sentiment.system.files import (
    check_output,
    locked,
    open_partial,
    read_regular,
    replace_file,
    replace_path,
    sha256,
)
from lowmem_sentiment.system.schema import read_json


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


def test_the_file_being_written_keeps_the_suffix_and_has_a_name_of_its_own(tmp_path):
    with replace_path(tmp_path / "a.keras") as one, replace_path(tmp_path / "a.keras") as other:
        assert one != other
        for path in (one, other):
            assert re.fullmatch(r"a\.[0-9a-f]{8}\.unfinished\.keras", path.name)
        one.write_bytes(b"one")
        other.write_bytes(b"other")
    assert [path.name for path in tmp_path.iterdir()] == ["a.keras"]


def test_a_planted_link_is_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    for name in ("c.unfinished.csv", "c.00000000.unfinished.csv"):
        (tmp_path / name).symlink_to(victim)
    with replace_file(tmp_path / "c.csv") as file:
        file.write(b"table")
    assert victim.read_text() == "mine"
    assert (tmp_path / "c.csv").read_text() == "table"


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path):
    code = "import sys, os; from pathlib import Path; from lowmem_sentiment.system.files import *\n"
    code += "with replace_path(Path(sys.argv[1])) as path: os.kill(os.getpid(), 9)"
    path = tmp_path / "c.csv"
    assert subprocess.run([sys.executable, "-c", code, path], check=False).returncode == -9
    (left,) = tmp_path.iterdir()
    kept = [
        tmp_path / name
        for name in ("c.unfinished.csv", "c.0000000g.unfinished.csv", "cc.00000000.unfinished.csv",
                     "c.00000000.unfinished.tsv", "c.00000000.csv")
    ]  # fmt: skip
    for each in kept:
        each.write_text("the user's")
    (tmp_path / "c.11111111.unfinished.csv").mkdir()
    os.mkfifo(tmp_path / "c.22222222.unfinished.csv")
    with replace_file(path), replace_file(path):  # the outer one's file is locked
        pass
    assert not left.exists()
    names = {"c.csv", "c.11111111.unfinished.csv", "c.22222222.unfinished.csv"}
    assert {each.name for each in tmp_path.iterdir()} == names | {each.name for each in kept}


@pytest.mark.parametrize("path", ["/dev/null", "."])
def test_what_is_no_regular_file_is_not_replaced(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="is not a regular file"), replace_file(Path(path)):
        pass


def test_a_directory_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(OutputError, match="No such file"), replace_file(tmp_path / "none" / "a"):
        pass
    with pytest.raises(OutputError, match="No such file"), locked(tmp_path / "none"):
        pass


def test_only_a_file_of_its_kind_is_replaced_and_what_cannot_be_written_is_refused_before_work(tmp_path):
    (tmp_path / "empty.csv").touch()
    (tmp_path / "ours.csv").write_text("number,label\n")
    for name in ("new.csv", "empty.csv", "ours.csv"):
        check_output(tmp_path / name, "number,label")
    (tmp_path / "theirs.csv").write_text("id,number,label\n")
    with pytest.raises(OutputExists, match="theirs.csv exists, .* so it is not replaced"):
        check_output(tmp_path / "theirs.csv", "number,label")
    (tmp_path / "nowhere").symlink_to("gone")
    for name, message in ((".", "not a regular"), ("nowhere", "not a regular"), ("no/x", "no folder")):
        with pytest.raises(OutputError, match=message):
            check_output(tmp_path / name, "")


def test_a_directory_is_held_by_one_at_a_time(tmp_path):
    with locked(tmp_path), pytest.raises(OutputExists, match="in use"), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(descriptor)


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


def test_a_full_disk_is_one_line_and_leaves_nothing(full_disk):
    from lowmem_sentiment.system.directories import Kind, new_directory

    with pytest.raises(OutputError, match="No space left"), replace_file(full_disk / "a") as file:
        file.write(bytes(1 << 20))
    kind = Kind("box", "box.json", "box")
    with pytest.raises(OutputError, match="No space"), new_directory(full_disk / "d", kind) as directory:
        (directory / "a").write_bytes(bytes(1 << 20))
    assert list(full_disk.iterdir()) == []


def test_a_partial_file_is_completed_and_never_written_through_a_link(tmp_path):
    for content, keep in ((b"one", False), (b"two", True)):
        with open_partial(tmp_path / "a", keep=keep) as file:
            file.write(content)
    assert (tmp_path / "a").read_bytes() == b"onetwo"
    (tmp_path / "link").symlink_to(tmp_path / "a")
    for keep in (False, True):
        with pytest.raises(OSError, match="symbolic links"):
            open_partial(tmp_path / "link", keep=keep)
    assert (tmp_path / "a").read_bytes() == b"onetwo"


def test_only_a_regular_file_of_a_size_that_can_be_is_read(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"four")
    assert read_regular(path, 4) == b"four"
    os.truncate(path, 1 << 40)  # sparse
    with pytest.raises(DataError, match="has 1,099,511,627,776 bytes, or grows; expected 4 at most"):
        read_regular(path, 4)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda path: path.mkdir(), DataError, "is not a regular file"),
        (os.mkfifo, DataError, "is not a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), DataError, "is not a regular file"),
        (lambda path: path.symlink_to(path), InputMissing, "Too many levels of symbolic links"),
        (lambda path: path.symlink_to(path.parent / "none"), InputMissing, "is missing"),
        (lambda path: None, InputMissing, "is missing"),
    ],
)
def test_what_stands_in_the_place_of_a_file_is_reported(tmp_path, make, error, message):
    """And nothing waits for a FIFO."""
    path = tmp_path / "file"
    make(path)
    for read in (lambda: read_regular(path, 9), lambda: sha256(path), lambda: read_json(path)):
        with pytest.raises(error, match=message):
            read()
