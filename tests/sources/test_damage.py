"""Damaged, cut and crafted files: refused, and never read in part without a word."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
import tracemalloc
import zipfile

import pytest
from helpers import run_cli, write_imdb

from lowmem_sentiment.sources.files import FilesSource
from lowmem_sentiment.sources.keras_datasets import ImdbSource
from lowmem_sentiment.sources.settings import FilesSettings
from lowmem_sentiment.system.errors import DataError, LowmemError
from lowmem_sentiment.text.reader_settings import ReaderSettings
from lowmem_sentiment.text.readers.formats import read_rows
from lowmem_sentiment.text.rows import BadRow


def rows_of(path, **settings):
    chunks = FilesSource([path], FilesSettings(**settings)).chunks()
    return [row for chunk in chunks for row in chunk.reviews()]


def read(path, **settings):
    """Return texts and labels; None where the file is refused or has a bad row."""
    try:
        rows = rows_of(path, **settings)
    except LowmemError:
        return None
    return None if any(isinstance(row, BadRow) for row in rows) else [row[:3] for row in rows]


def small_tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for nth in range(3):
            info = tarfile.TarInfo(f"texts/{'pos' if nth % 2 else 'neg'}/{nth}.txt")
            text = f"film number {nth}".encode()
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text))
    return file.getvalue()


def test_no_flipped_bit_in_a_header_of_a_tar_changes_what_is_read(tmp_path):
    whole, path = small_tar(), tmp_path / "r.tar"
    path.write_bytes(whole)
    expected = read(path)
    assert len(expected) == 3
    for nth, header in enumerate((0, 1024, 2048)):
        for at in range(header + nth, header + 512, 3):  # each byte of a header, in one of the three
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
            assert read(path) in (None, expected), at


def test_no_cut_of_a_tar_loses_a_text_silently(tmp_path):
    whole, path = small_tar(), tmp_path / "r.tar"
    path.write_bytes(whole)
    expected = read(path)
    for end in range(0, len(whole), 64):
        path.write_bytes(whole[:end])
        assert read(path) == (expected if end >= 4 * 1024 else None), end


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("suffix, content", [("tar", small_tar()), ("txt", b"__label__a b\n" * 99)])
def test_every_compressed_stream_is_read_to_its_checksum(tmp_path, compress, suffix, content):
    packed, path = compress(content), tmp_path / f"r.{suffix}.gz"
    path.write_bytes(packed)
    expected = read(path)
    assert expected
    for at in range(len(packed)):
        path.write_bytes(packed[:at] + bytes([packed[at] ^ 0x10]) + packed[at + 1 :])
        assert read(path) in (None, expected), at
        path.write_bytes(packed[:at])
        assert read(path) is None, at
    path.write_bytes(packed + b"garbage")
    assert read(path) is None
    path.write_bytes(packed + compress(b""))
    assert read(path) == expected


def test_a_tar_that_claims_too_much_is_refused_before_it_takes_memory(tmp_path):
    path = tmp_path / "r.tar.gz"
    for kind in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.REGTYPE):
        info = tarfile.TarInfo("pos/a.txt")
        info.type, info.size = kind, 1 << 86 if kind == tarfile.REGTYPE else 1 << 32
        path.write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + b"a" * (1 << 20)))
        with pytest.raises(DataError, match="claims|extended header"):
            list(FilesSource([path]).chunks())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["r.csv", "r.jsonl", "r.txt"])
def test_a_line_without_end_takes_no_memory(tmp_path, name):
    path = tmp_path / name
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"text,label\n")
        for _ in range(60):
            file.write(bytes(1 << 20).replace(b"\0", b"a"))
    tracemalloc.start()
    try:
        rows = rows_of(path)
        with pytest.raises(DataError, match="longer than 16 MiB"):
            list(read_rows(path, ReaderSettings(format="text")))
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()
    assert "longer than 16 MiB" in str(rows[-1])


def test_links_and_pipes_in_a_folder_are_refused(tmp_path):
    folder = tmp_path / "texts" / "pos"
    folder.mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "a.txt").symlink_to(tmp_path / "secret.txt")
    os.mkfifo(folder / "b.txt")
    (tmp_path / "texts" / "neg").symlink_to(folder)
    reasons = [row.reason.split(",")[0] for row in rows_of(tmp_path / "texts")]
    assert reasons == ["is a link", "is a link", "is not a regular file"]
    rows = rows_of(tmp_path / "texts", follow_links=True)
    assert b"secret" in [getattr(row, "text", None) for row in rows]


def test_an_npz_that_claims_too_much_is_refused(tmp_path):
    npz, index = write_imdb(tmp_path)
    with zipfile.ZipFile(npz) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (100,), }\n"
    head = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    memo = b"\x80\x02]r" + (1 << 29).to_bytes(4, "little") + b"."  # a pickle of gigabytes
    labels = members["y_train.npy"].replace(b"(100,), }   ", b"(9000000000,), }")
    for name, claims, message in (
        ("x_train.npy", head + memo, r"x_train\.npy: it holds something other than lists"),
        ("y_train.npy", labels, r"refused: y_train\.npy"),
    ):
        with zipfile.ZipFile(npz, "w") as archive:
            for each, content in {**members, name: claims}.items():
                archive.writestr(each, content)
        with pytest.raises(DataError, match=message):
            list(ImdbSource(npz, index).blocks())


def test_a_folder_whose_name_is_not_utf_8_is_no_label(tmp_path):
    for name in (b"n\xe9g", b"pos"):
        folder = os.path.join(os.fsencode(tmp_path), b"texts", name)
        os.makedirs(folder)
        with open(os.path.join(folder, b"0.txt"), "wb") as file:
            file.write(b"a film")
    with tarfile.open(tmp_path / "r.tar", "w", encoding="utf-8", errors="surrogateescape") as archive:
        archive.add(tmp_path / "texts", "texts")
    for source in ("texts", "r.tar"):
        result = run_cli("prepare", "files", tmp_path / source, "--out", tmp_path / "out")
        assert result.returncode == 65
        assert "0.txt: has a label that is not UTF-8" in result.stderr and result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
