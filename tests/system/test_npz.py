import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from lowmem_sentiment.system.errors import DataError, InputMissing
from lowmem_sentiment.system.npz import Rows, read_arrays, write_arrays

ARRAYS = {
    "metadata": np.frombuffer(b'{"version": 1}', np.uint8),
    "kernel_0": np.linspace(0, 1, 600, dtype=np.float32).reshape(20, 30),
    "steps": np.array(7),
    "none": np.zeros((0, 3), np.float32),
    "flag": np.array([True, False]),
    "columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
}


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype and np.array_equal(one[name], other[name]) for name in one
    )


def to_bytes(arrays) -> bytes:
    file = io.BytesIO()
    write_arrays(file, arrays)
    return file.getvalue()


def npz(name: str = "a.npy", content: bytes | None = None, **header) -> bytes:
    """Return a zip of one member: given bytes, or an array of four float32 with another header."""
    if content is None:
        fields = {"descr": "'<f4'", "fortran_order": "False", "shape": "(4,)", **header}
        text = "{" + "".join(f"'{key}': {value}, " for key, value in fields.items()) + "}"
        text = text.encode().ljust(117) + b"\n"
        content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(16)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, content)
    return file.getvalue()


def test_arrays_come_back_as_they_were_and_as_numpy_reads_them(tmp_path):
    path = tmp_path / "a.npz"
    write_arrays(path, ARRAYS.items())
    assert same(read_arrays(path, "a"), ARRAYS)
    assert same(read_arrays(io.BytesIO(to_bytes(ARRAYS.items())), "a"), ARRAYS)
    with np.load(path, allow_pickle=False) as archive:
        assert same(dict(archive), ARRAYS)
    np.savez(path, **ARRAYS)
    assert same(read_arrays(path, "a"), ARRAYS)
    assert read_arrays(path, "a")["columns"].flags.f_contiguous
    with pytest.raises(ValueError, match="read-only"):
        read_arrays(path, "a")["steps"][...] = 1


def test_an_array_in_rows_has_the_bytes_of_the_whole_array():
    table = np.arange(14, dtype=np.float32).reshape(7, 2)
    rows = Rows(table.shape, table.dtype, (table[first : first + 3] for first in (0, 3, 6)))
    files = [zipfile.ZipFile(io.BytesIO(to_bytes([("table", each)]))) for each in (rows, table)]
    assert files[0].read("table.npy") == files[1].read("table.npy")


@pytest.mark.parametrize(
    "content",
    [
        npz(shape="(5,)"), npz(shape="(3,)"), npz(shape="(-4, -1)"),
        npz(shape="(4611686018427387904, 4)"),
        npz(shape=f"({'9' * 5000},)"), npz(shape="(0, 99999999999999999999)"), npz(shape="4"),
        npz(shape="(" + "1, " * 70 + "4)"), npz(descr="'|O'"), npz(descr="'<f3'"), npz(descr="'<f16'"),
        npz(descr="[('a', '<f4')]"), npz(descr="'<M8[s]'"), npz(descr="'|V4'"), npz(descr="'>b9'"),
        npz(fortran_order="1"), npz(shape="__import__('os').getpid()"), npz(content=b""),
        npz(content=b"\x93NUMPY\x01"), npz(content=b"\x93NUMPY\x03\x00" + bytes(20)),
        npz(content=b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(20)), npz(content=b"\x93NUMPY\x01\x00"),
        b"", b"PK", b"no zip at all", bytes(4096),
    ],
)  # fmt: skip
def test_what_is_no_array_of_numbers_is_damaged_data(content):
    with pytest.raises(DataError):
        read_arrays(io.BytesIO(content), "a.npz")


def test_compressed_and_doubled_members_are_refused(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros(1_000_000))
    with pytest.raises(DataError, match="compressed"):
        read_arrays(tmp_path / "a.npz", "a.npz")
    file = io.BytesIO()
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(file, "w") as archive:
        for _ in range(2):
            archive.writestr("a.npy", b"")
    with pytest.raises(DataError, match=r"twice|not an array"):
        read_arrays(file, "a.npz")


def test_a_file_that_is_not_there_is_missing(tmp_path):
    with pytest.raises(InputMissing, match="is missing"):
        read_arrays(tmp_path / "none.npz", "none.npz")
    with pytest.raises(DataError, match="is not a regular file"):
        read_arrays(tmp_path, "a folder")


def test_any_mutation_is_found_or_changes_nothing_in_the_memory_of_the_file():
    whole = to_bytes(ARRAYS.items())
    generator, found = np.random.default_rng(0), 0
    tracemalloc.start()
    try:
        for _ in range(600):
            damaged = bytearray(whole)
            for _ in range(generator.integers(1, 4)):
                at = int(generator.integers(len(damaged)))
                kind = generator.integers(3)
                if kind == 0:
                    damaged[at] ^= int(generator.integers(1, 256))
                elif kind == 1:
                    damaged[at : at + 4] = generator.bytes(4)
                else:
                    del damaged[at : at + int(generator.integers(1, 200))]
            try:
                arrays = read_arrays(io.BytesIO(damaged), "a.npz")
            except DataError:
                found += 1
                continue
            for name in arrays.keys() & ARRAYS.keys():
                np.testing.assert_array_equal(arrays[name], ARRAYS[name])
        assert tracemalloc.get_traced_memory()[1] < 10 * len(whole) + 500_000
    finally:
        tracemalloc.stop()
    assert found > 400


def test_a_size_that_is_not_there_takes_no_memory():
    """The directory of a zip names 4 GB for a member of 144 bytes."""
    content = bytearray(npz())
    at = content.rindex(b"PK\x01\x02")
    content[at + 20 : at + 28] = struct.pack("<II", 0xFFFFFFF0, 0xFFFFFFF0)
    tracemalloc.start()
    try:
        with pytest.raises(DataError):
            read_arrays(io.BytesIO(content), "a.npz")
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
