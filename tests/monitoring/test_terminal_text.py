import pytest

from lowmem_sentiment.monitoring.terminal_text import columns, cut, table, text_width
from lowmem_sentiment.system.errors import printable

FAMILY = "👨\u200d👩\u200d👧"


@pytest.mark.parametrize(
    ("text", "width"),
    [
        *(("good", 4), ("差评", 4), ("한국", 4), ("مُمتاز", 5), ("नमस्ते", 4), ("e\u0301", 1)),
        *((FAMILY, 2), ("❤\ufe0f", 2), ("👍🏽", 2), ("🇩🇪", 2)),
    ],
)
def test_widths_are_those_of_wcwidth(text, width):
    assert text_width(text) == width


def test_emoji_and_persian_keep_their_joiners_and_marks_of_direction_are_escaped():
    assert printable(FAMILY) == FAMILY and printable("می\u200cخواهم") == "می\u200cخواهم"
    assert printable("a\u200db") == "a\\u200db" and printable("ok\u202e") == "ok\\u202e"


def test_text_is_cut_in_the_middle_between_whole_characters():
    assert cut("balance_after_transfer", 11) == "balanc…sfer"
    assert cut(FAMILY * 9, 8) == f"{FAMILY * 2}…{FAMILY}"
    assert cut("差" * 9, 8) == "差差…差" and cut("short", 5) == "short"


@pytest.mark.parametrize("width", [60, 80, 120])
def test_rows_of_any_script_are_aligned_and_fit(width):
    labels = ["差评", "مُمتاز", FAMILY, "a long label " * 80, "x\x1b[2J\n"]
    rows = [
        ["label", "reviews", *"abcdefgh"],
        *([label, "1,234", *["0.1234 (.1-.2)"] * 8] for label in labels),
    ]
    lines = columns(rows, width)
    assert max(map(text_width, lines)) <= width and lines == [*map(printable, lines)]
    blocks = "\n".join(lines).split("\n\n")
    for block in blocks:
        head, *body = block.split("\n")
        assert {text_width(line) for line in body} == {text_width(head)}
    assert sum(block.count("(.1-.2)") for block in blocks) == 40


def test_a_long_value_goes_on_below_itself_and_a_command_stays_whole():
    rows = {"data": "word " * 30 + "end", "again": "lowmem-sentiment train " + "data " * 30}
    *lines, command = table(rows, 60)
    assert len(lines) == 3 and max(map(len, lines)) <= 60
    assert all(line.startswith("       word") for line in lines[1:-1])
    assert command.startswith("again  lowmem-sentiment train data")
