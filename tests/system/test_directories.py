import errno
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from lowmem_sentiment.system import files
from lowmem_sentiment.system.directories import Kind, new_directory, refuse_existing
from lowmem_sentiment.system.errors import OutputError, OutputExists
from lowmem_sentiment.system.files import locked
from lowmem_sentiment.system.schema import write_json

BOX = Kind("box", "box.json", "a box")
BAG = Kind("bag", "bag.json", "a bag")


def make(path: Path, content: str = "new", kind: Kind = BOX, **options) -> list[str]:
    """Make a directory of a kind with one file beside its manifest, and return what was reported."""
    reported = []
    with new_directory(path, kind, report=reported.append, **options) as directory:
        (directory / content).write_text(content)
        write_json(directory / kind.manifest, {"format": kind.format})
    return reported


def tree(path: Path) -> dict[str, bytes | None]:
    """Return every file's content by its path, None for a directory."""
    return {
        str(each.relative_to(path)): each.read_bytes() if each.is_file() else None
        for each in sorted(path.rglob("*"))
    }


def test_a_directory_appears_whole_or_not_at_all(tmp_path):
    with pytest.raises(ZeroDivisionError), new_directory(tmp_path / "out", BOX) as directory:
        (directory / "a").write_text("half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    assert make(tmp_path / "out") == []
    assert sorted(tree(tmp_path)) == ["out", "out/box.json", "out/new"]


def test_an_empty_directory_counts_as_not_there(tmp_path):
    (tmp_path / "out").mkdir()
    make(tmp_path / "out")
    assert sorted(tree(tmp_path / "out")) == ["box.json", "new"]


def test_only_a_directory_of_the_same_kind_is_replaced_and_only_when_asked(tmp_path):
    make(tmp_path / "box", "old")
    make(tmp_path / "bag", "old", BAG)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "box.json").write_text('{"format": "another program\'s"}')
    before = tree(tmp_path)
    with pytest.raises(OutputExists, match="choose another name or pass --overwrite"):
        make(tmp_path / "box")
    for name in ("bag", "mine", "foreign"):
        with pytest.raises(OutputExists, match="is not a box .*; choose another name$"):
            make(tmp_path / name)
        with pytest.raises(OutputExists, match="is not a box .*, so --overwrite does not replace it"):
            make(tmp_path / name, overwrite=True)
    with pytest.raises(ZeroDivisionError), new_directory(tmp_path / "box", BOX, overwrite=True):
        raise ZeroDivisionError
    assert tree(tmp_path) == before
    assert make(tmp_path / "box", overwrite=True) == [f"replaced the box {tmp_path / 'box'}"]
    assert sorted(tree(tmp_path / "box")) == ["box.json", "new"]
    assert {path.name for path in tmp_path.iterdir()} == {"box", "bag", "mine", "foreign"}


def test_what_this_software_did_not_make_is_kept_in_the_new_directory(tmp_path):
    kind = Kind("box", "box.json", "a box", "new|old")
    out, thesis = tmp_path / "out", tmp_path / "out" / "thesis"
    make(out, "old", kind)
    thesis.mkdir()
    (thesis / "one.txt").write_text("years")
    (out / "notes").symlink_to("nowhere")
    said = make(out, "new", kind, overwrite=True)
    assert f"kept {thesis}, which lowmem-sentiment did not make" in said and len(said) == 3
    assert sorted(tree(out)) == ["box.json", "new", "notes", "thesis", "thesis/one.txt"]
    assert [each.name for each in tmp_path.iterdir()] == ["out"]


def test_a_damaged_manifest_is_still_known(tmp_path):
    make(tmp_path / "box", "old")
    manifest = tmp_path / "box" / "box.json"
    manifest.write_bytes(manifest.read_bytes()[:-20])
    make(tmp_path / "box", overwrite=True)
    assert (tmp_path / "box" / "new").exists()


def test_a_manifest_that_is_a_link_or_a_fifo_marks_nothing(tmp_path):
    make(tmp_path / "box")
    for name, plant in (("link", lambda path: path.symlink_to(tmp_path / "box/box.json")),
                        ("fifo", os.mkfifo)):  # fmt: skip
        (tmp_path / name).mkdir()
        plant(tmp_path / name / "box.json")
        assert not BOX.recognises(tmp_path / name)


@pytest.mark.parametrize(
    ("out", "reason"),
    [
        (".", "is the working directory"),
        ("..", "holds the working directory"),
        ("~", "is a home directory"),
        ("/", "is the root of a file system"),
    ],
)
def test_working_directory_home_and_root_are_never_replaced(out, reason, tmp_path, monkeypatch):
    for path in (tmp_path / "box", tmp_path / "home"):
        make(path, "old")
        make(path / "inner", "old")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "box" / "inner")
    before = tree(tmp_path)
    with pytest.raises(OutputExists, match=reason):
        make(Path(os.path.expanduser(out)), overwrite=True)
    assert tree(tmp_path) == before


def test_an_empty_working_directory_is_refused_in_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputExists, match="is the working directory"):
        make(Path("."))


def test_a_file_is_never_replaced_by_a_directory(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputExists, match="is a file"):
        make(tmp_path / "out", overwrite=True)


def test_what_appears_meanwhile_is_not_replaced(tmp_path):
    with pytest.raises(OutputExists), new_directory(tmp_path / "out", BOX, overwrite=True):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "thesis.txt").write_text("years")
    assert sorted(tree(tmp_path)) == ["out", "out/thesis.txt"]


def test_the_second_of_two_makers_is_refused(tmp_path):
    with new_directory(tmp_path / "out", BOX) as directory:
        with pytest.raises(OutputExists, match="out is in use by another process"):
            make(tmp_path / "out")
        assert directory.is_dir()
    make(tmp_path / "out2")


def test_a_directory_in_use_is_not_replaced(tmp_path):
    make(tmp_path / "out", "old")
    with locked(tmp_path / "out"), pytest.raises(OutputExists, match="in use by another process"):
        make(tmp_path / "out", overwrite=True)
    assert sorted(tree(tmp_path)) == ["out", "out/box.json", "out/old"]


def test_the_lock_survives_the_rename_as_long_as_it_is_held(tmp_path):
    with ExitStack() as held:
        make(tmp_path / "out", held=held)
        with pytest.raises(OutputExists, match="in use"), locked(tmp_path / "out"):
            pass
    with locked(tmp_path / "out"):
        pass


def kill_while_making(path: Path, moment: str) -> None:
    """Start a process that makes `path` and kills itself: in the block, or at a call after it.

    An audit hook sees the calls of pathlib too, which in Python 3.10 keeps functions of os of its own.
    """
    code = f"""
import os, sys
from pathlib import Path
from lowmem_sentiment.system.directories import Kind, new_directory
calls = []
def die_at(event, _):
    calls.append(event)
    if {moment!r} == f"{{event}} {{calls.count(event)}}":
        os.kill(os.getpid(), 9)
with new_directory(Path({str(path)!r}), Kind("box", "box.json", "a box"), overwrite=True) as directory:
    (directory / "newer").write_text("newer")
    (directory / "box.json").write_text('{{"format": "a box"}}')
    sys.addaudithook(die_at)
    sys.audit("block")
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9


@pytest.mark.parametrize("moment", ["block 1", "os.rename 1", "os.rename 2"])
def test_a_kill_loses_nothing_and_the_next_run_starts_over(moment, tmp_path):
    out = tmp_path / "out"
    make(out, "old")
    kill_while_making(out, moment)
    assert any(path.name == "old" for path in tmp_path.rglob("*"))
    with pytest.raises(OutputExists, match="exists and is not empty"):
        make(out)  # what was put aside is put back first
    assert sorted(tree(out)) == ["box.json", "old"]
    make(out, overwrite=True)
    assert sorted(tree(tmp_path)) == ["out", "out/box.json", "out/new"]


@pytest.mark.parametrize(
    "moment", [*(f"os.remove {nth}" for nth in (1, 2, 3, 4)), "os.rmdir 1", "os.rmdir 2"]
)
def test_a_kill_while_the_old_directory_is_removed_blocks_no_later_one(moment, tmp_path):
    """Its files, and one in a folder of it, are removed one by one: the manifest last."""
    out = tmp_path / "out"
    make(out, "old")
    (out / "folder").mkdir()
    (out / "folder" / "file").write_text("old")
    kill_while_making(out, moment)
    make(out, overwrite=True)
    assert sorted(tree(tmp_path)) == ["out", "out/box.json", "out/new"]


def test_a_flush_that_fails_after_the_rename_says_that_it_is_written(tmp_path, monkeypatch):
    def fail(directory):
        if directory == tmp_path:
            raise OSError(errno.EIO, "Input/output error")

    make(tmp_path / "old", "old")
    with monkeypatch.context() as patched:
        patched.setattr(files, "sync_directory", fail)
        for name, options in (("out", {}), ("old", {"overwrite": True})):
            with pytest.raises(OutputError, match=f"{name} is written, but .*Input/output error"):
                make(tmp_path / name, **options)
        with (
            pytest.raises(OutputError, match="file is written, but"),
            files.replace_file(tmp_path / "file") as file,
        ):
            file.write(b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    make(tmp_path / "old", overwrite=True)
    assert sorted(tree(tmp_path)) == [
        "file", "old", "old/box.json", "old/new", "out", "out/box.json", "out/new"
    ]  # fmt: skip


@pytest.mark.parametrize("plant", ["directory", "link", "file"])
def test_what_is_in_the_way_of_the_unfinished_directory_is_kept(plant, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    planted = tmp_path / "out.unfinished"
    if plant == "directory":
        (tmp_path / "mine").rename(planted)
    elif plant == "link":
        planted.symlink_to(tmp_path / "mine")
    else:
        planted.write_text("years")
    before = tree(tmp_path)
    with pytest.raises(OutputExists, match=r"out\.unfinished is (in the way|a file or a link)"):
        make(tmp_path / "out")
    assert tree(tmp_path) == before


def test_a_directory_of_the_users_named_like_what_is_put_aside_is_kept(tmp_path):
    make(tmp_path / "out", "old")
    (tmp_path / "out.replaced").mkdir()
    (tmp_path / "out.replaced" / "thesis.txt").write_text("years")
    before = tree(tmp_path)
    with pytest.raises(OutputExists, match=r"out\.replaced is in the way"):
        make(tmp_path / "out", overwrite=True)
    assert tree(tmp_path) == before


def test_a_link_to_a_directory_is_replaced_where_it_points(tmp_path):
    make(tmp_path / "real" / "out", "old")
    (tmp_path / "link").symlink_to(tmp_path / "real" / "out")
    make(tmp_path / "link", overwrite=True)
    assert (tmp_path / "link").is_symlink()
    assert sorted(tree(tmp_path / "real")) == ["out", "out/box.json", "out/new"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_directory_that_may_not_be_read_is_one_line(tmp_path):
    (tmp_path / "out").mkdir(mode=0)
    with pytest.raises(OutputError, match="Permission denied"):
        refuse_existing(tmp_path / "out", BOX, overwrite=True)
