import dataclasses
import random
from typing import Any

import pytest

from lowmem_sentiment.system.errors import DataError, InputMissing
from lowmem_sentiment.system.schema import parse, parse_json, read_json, write_json


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


@dataclasses.dataclass
class Inner:
    name: str
    size: int = 0


@dataclasses.dataclass
class Outer:
    inner: Inner
    many: list[Inner]
    counts: dict[str, list[int]]
    rates: tuple[float, ...] = ()
    either: int | str | None = None
    flag: bool = False
    anything: Any = None


@dataclasses.dataclass
class Open:
    name: str

    ignores_unknown_keys = True


WHOLE = {
    "inner": {"name": "a", "size": 2},
    "many": [{"name": "b"}],
    "counts": {"a": [1, 2]},
    "rates": [0.5, 1],
    "either": "x",
    "flag": True,
    "anything": [1, {"x": None}],
}


def test_json_becomes_the_class_that_describes_it():
    outer = parse(Outer, WHOLE, "f")
    assert outer.inner == Inner("a", 2)
    assert outer.many == [Inner("b")]
    assert outer.rates == (0.5, 1.0)
    assert isinstance(outer.rates[1], float)
    assert dataclasses.asdict(outer)["anything"] == WHOLE["anything"]
    assert parse(Outer, dataclasses.asdict(outer), "f") == outer
    assert parse(Open, {"name": "a", "more": 1}, "f") == Open("a")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inner": {"name": 1}}, "f: inner.name is 1, expected a text"),
        ({"inner": {}}, "f: inner.name is missing"),
        (
            {"inner": {"name": "a", "more": 1}},
            "f: inner.more is not known .*expected no keys but name, size",
        ),
        ({"many": [{"name": "b"}, []]}, r"f: many\[1\] is \[\], expected an object"),
        ({"counts": {"a": [1.0]}}, r"f: counts.a\[0\] is 1.0, expected a whole number"),
        ({"counts": {"a": [True]}}, "is true, expected a whole number"),
        ({"counts": {"a": [1 << 70]}}, "expected a whole number of 64 bits"),
        ({"rates": [1 << 2000]}, r"rates\[0\] is 1\d+…, expected a number"),
        ({"rates": "0.5"}, "expected a list, each of it a number"),
        ({"either": 1.5}, "expected a whole number of 64 bits or a text or null"),
        ({"flag": 1}, "expected true or false"),
        ({"\x1b[2J\nforged": 1}, r"f: \\x1b\[2J\\nforged is not known"),
        ({"counts": {"\x1b[2J": 1}}, r"f: counts.\\x1b\[2J is 1"),
        ({"inner": {"name": [["deep" * 100]]}}, r"is \[\[\"deepdeep.*…, expected a text"),
    ],
)
def test_what_is_not_described_is_refused_with_file_and_key(change, message):
    with pytest.raises(DataError, match=message):
        parse(Outer, {**WHOLE, **change}, "f")


@pytest.mark.parametrize(
    "text",
    [b"[" * 200_000, b'{"a":' * 200_000, b'{"a":' * 900 + b"1" + b"}" * 900, b"9" * 5000, b"", b"\xff",
     b'"\xed\xa0\x80"', b"{", b"nul", b"\xef\xbb\xbf{}",
     b'{"checksum": [' + b"[" * 950 + b"]" * 950 + b"]}"],
)  # fmt: skip
def test_what_is_no_json_or_too_deep_is_damaged_data(text, tmp_path):
    (tmp_path / "a.json").write_bytes(text)
    with pytest.raises(DataError, match=r"a\.json"):
        read_json(tmp_path / "a.json")


def test_json_that_is_too_large_is_refused_before_it_is_parsed():
    with pytest.raises(DataError, match="expected 67,108,864 at most"):
        parse_json(bytes((64 << 20) + 1), "a.json")


def test_a_path_that_is_not_utf8_comes_back(tmp_path):
    write_json(tmp_path / "a.json", {"path": "caf\udce9", "label": "é\U0001f600"})
    content = read_json(tmp_path / "a.json")
    assert (content["path"], content["label"]) == ("caf\udce9", "é\U0001f600")


VALUES = [None, True, 0, -1, 1 << 63, 1 << 2000, 1.5, float("nan"), float("inf"), "", "a", "\ud800",
          [], {},
          [[]], {"a": {}}, [None] * 3, {"name": "b"}]  # fmt: skip


def test_no_mutation_of_json_ends_in_anything_but_a_value_or_damaged_data():
    generator, refused = random.Random(0), 0

    def mutate(value):
        if generator.random() < 0.2:
            return generator.choice(VALUES)
        if isinstance(value, dict):
            changed = {key: mutate(each) for key, each in value.items() if generator.random() < 0.97}
            return changed | ({generator.choice(["x", "", "\n"]): 1} if generator.random() < 0.05 else {})
        if isinstance(value, list):
            return [mutate(each) for each in value] * generator.choice([0, 1, 1, 1, 2])
        return value

    for _ in range(1000):
        content = mutate(WHOLE)
        try:
            outer = parse(Outer, content, "f")
        except DataError as error:
            refused += 1
            assert str(error).isprintable()
        else:
            assert isinstance(outer, Outer)
            assert all(isinstance(rate, float) for rate in outer.rates)
    assert 300 < refused < 1000
