"""Damage to files: what disks, networks, editors and attackers do to bytes, from a seeded generator."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from lowmem_sentiment.system.schema import write_json

Change = Callable[[Random, Path], None]

_PIECES = [
    b"", b"\n", b"\r", b"\r\n", b"\0", b'"', b"'", b",", b"\t", b"\\", b"{", b"}", b"[", b"]", b":",
    b" ", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\x1b[2J", b"\xe2\x80\xae", b"\\ud800",
    b"-1", b"1e999", b"NaN", b"null", b"9" * 30, b"__label__", b"\x1f\x8b", b"PK\x03\x04",
    b"[" * 5_000, b'"' * 99, b"A" * 70_000,
]  # fmt: skip

_NUMBERS = [0, 1, -1, 127, 255, 65_535, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**88, 10**40]

_VALUES: list[Any] = [
    None, True, False, 0, -1, 0.5, 2**31 - 1, 2**63, 2**70, 1e308, float("nan"), float("inf"), "", "x",
    "\x1b[2J\n", "\ud800", "../../etc/passwd", "/dev/zero", "a" * 3_000, [], {}, [[]], [None], ["x", "x"],
    {"x": 1}, [0] * 2_000,
]  # fmt: skip


def _place(random: Random, size: int) -> int:
    """Return an offset; half of them near the ends, where formats keep their headers and directories."""
    near = random.randrange(min(size, 600) + 1)
    return random.choice([near, size - near, random.randrange(size + 1), random.randrange(size + 1)])


def _range(random: Random, size: int) -> tuple[int, int]:
    start = _place(random, size)
    return start, min(size, start + random.choice([1, 2, 4, 8, 16, 100, 512, 1_000]))


def _flip_bits(random: Random, data: bytes) -> bytes:
    changed = bytearray(data or b"\0")
    for _ in range(random.choice([1, 1, 1, 2, 8])):
        place = min(_place(random, len(changed)), len(changed) - 1)
        changed[place] ^= 1 << random.randrange(8)
    return bytes(changed)


def _cut(random: Random, data: bytes) -> bytes:
    return data[: _place(random, len(data))]


def _remove(random: Random, data: bytes) -> bytes:
    start, end = _range(random, len(data))
    return data[:start] + data[end:]


def _repeat(random: Random, data: bytes) -> bytes:
    start, end = _range(random, len(data))
    return data[:end] + data[start:end] * random.choice([1, 1, 50]) + data[end:]


def _swap(random: Random, data: bytes) -> bytes:
    (first, end), (second, last) = sorted([_range(random, len(data)), _range(random, len(data))])
    second, last = max(second, end), max(last, end)
    return data[:first] + data[second:last] + data[end:second] + data[first:end] + data[last:]


def _insert(random: Random, data: bytes) -> bytes:
    place = _place(random, len(data))
    piece = random.choice([*_PIECES, random.randbytes(random.choice([1, 7, 64]))])
    return data[:place] + piece + data[place:]


def _overwrite(random: Random, data: bytes) -> bytes:
    start, end = _range(random, len(data))
    size = end - start
    return (
        data[:start] + random.choice([bytes(size), b"\xff" * size, random.randbytes(size)]) + data[end:]
    )


def _write_number(random: Random, data: bytes) -> bytes:
    """Replace a binary number of 2, 4 or 8 bytes, as headers hold lengths."""
    size, start = random.choice([2, 4, 8]), _place(random, len(data))
    value = random.choice(_NUMBERS) % (1 << 8 * size)
    return data[:start] + value.to_bytes(size, random.choice(["little", "big"])) + data[start + size :]


def _write_digits(random: Random, data: bytes) -> bytes:
    """Replace a number that is written in digits."""
    if not (found := list(re.finditer(rb"\d+", data))):
        return _insert(random, data)
    chosen = random.choice(found)
    return data[: chosen.start()] + b"%d" % random.choice(_NUMBERS) + data[chosen.end() :]


_MUTATIONS = [
    _flip_bits, _flip_bits, _flip_bits, _cut, _cut, _remove, _repeat, _swap, _insert, _overwrite,
    _write_number, _write_digits,
]  # fmt: skip


def mutate(random: Random, data: bytes) -> bytes:
    """Return other bytes than `data`."""
    while (changed := random.choice(_MUTATIONS)(random, data)) == data:
        pass
    return changed


def mutate_file(random: Random, path: Path) -> None:
    """Damage a file's bytes."""
    path.write_bytes(mutate(random, path.read_bytes()))


def mutate_json(random: Random, path: Path) -> None:
    """Change a value, a key or the nesting of a JSON file, and give it a checksum that is right again."""
    content = json.loads(path.read_bytes())
    content.pop("checksum", None)
    if random.random() < 0.02:
        path.write_text("[" * 200_000)
        return
    node, key = _find_value(random, content)
    action = random.randrange(5)
    if action == 0:
        del node[key]
    elif action == 1 and isinstance(node, dict):
        node[random.choice(["", "unknown", "checksum ", "__class__", "a" * 300])] = node.pop(key)
    elif action == 2 and isinstance(node[key], int):
        node[key] = random.choice([*_NUMBERS, -node[key], node[key] + 1, node[key] - 1, float(node[key])])
    else:
        node[key] = random.choice(_VALUES)
    try:
        write_json(path, content)
    except UnicodeEncodeError:  # half a surrogate; in JSON it can be written as an escape only
        path.write_text(json.dumps(content))


def _find_value(random: Random, content: Any) -> tuple[Any, Any]:
    """Return a container somewhere in parsed JSON, and a key or an index in it."""
    while True:
        keys = list(content) if isinstance(content, dict) else range(len(content))
        key = random.choice(keys)
        inner = content[key]
        if not isinstance(inner, dict | list) or not inner or random.random() < 0.2:
            return content, key
        content = inner
