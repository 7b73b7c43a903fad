"""README and the guides name only what there is."""

import argparse
import re
import shlex
import sqlite3
from pathlib import Path

import pytest

from lowmem_sentiment.cli import command_line

PROJECT = Path(__file__).parents[1]
GUIDES = [
    "README.md",
    *sorted(
        str(path.relative_to(PROJECT))
        for folder in ("src", "scripts")
        for pattern in ("README.md", "guides/*.md")
        for path in (PROJECT / folder).rglob(pattern)
    ),
]
OF_OTHERS = {"--no-deps", "--no-cache-dir", "--quick", "--cases", "--gate", "--now", "--scope", "--peers",
             "--runs", "--system", "--create-home", "--home-dir", "--shell", "--editable",
             "--data-binary", "--faults", "--scarce", "--command", "--spread", "--kills"}  # fmt: skip
"""Options of pip, useradd, systemd and the scripts (`benchmark.py --peers` among them), curl."""


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    found = set(parser._option_string_actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                found |= options_of(each)
    return found


@pytest.mark.parametrize("guide", [each for each in GUIDES if not each.endswith("changes.md")])
def test_every_option_that_a_guide_names_is_one(guide):
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]", (PROJECT / guide).read_text()))
    assert named - options_of(command_line.make_parser(command_line.COMMANDS)) <= OF_OTHERS


def blocks_of(guide: str, languages: str = "(?:bash)?") -> list[str]:
    return re.findall(rf"^```{languages}\n(.*?)^```", (PROJECT / guide).read_text(), re.M | re.S)


def commands_of(guide: str) -> list[list[str]]:
    """Return the arguments of each `lowmem-sentiment` that stands in a block of code."""
    lines = "\n".join(blocks_of(guide)).replace("\\\n", " ").splitlines()
    commands = [re.search(r"^(?:\w*\$ )?lowmem-sentiment ([a-z].*)", line) for line in lines]
    shown = [shlex.shlex(found[1], posix=True, punctuation_chars="|>&;") for found in commands if found]
    for lexer in shown:
        lexer.whitespace_split = True
    return [list(iter(lexer.get_token, None)) for lexer in shown]


@pytest.mark.parametrize("guide", GUIDES)
def test_every_command_that_a_guide_shows_is_understood(guide):
    for words in commands_of(guide):
        end = next((nth for nth, word in enumerate(words) if set(word) <= set("|>&;")), len(words))
        command_line.parse(words[:end])


def test_the_guides_table_is_a_source(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with sqlite3.connect("shop.db") as database:
        database.execute("CREATE TABLE reviews (text TEXT, label INTEGER)")
        rows = [
            (f"{word} word{nth}", label)
            for nth in range(20)
            for label, word in enumerate(("bad", "good"))
        ]
        database.executemany("INSERT INTO reviews VALUES (?, ?)", rows)
    exec(*blocks_of("src/lowmem_sentiment/guides/own-data.md", "python"), {"__name__": "guide"})
    assert (tmp_path / "data/shop/dataset.json").exists()


def anchors(guide: Path) -> set[str]:
    """Return what GitHub names the headings of a guide, none of which stands in a block of code."""
    text = re.sub(r"^```.*?^```", "", guide.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings}


@pytest.mark.parametrize("guide", GUIDES)
def test_every_link_of_a_guide_leads_to_a_file_and_a_heading(guide):
    path = PROJECT / guide
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if link.startswith(("http://", "https://")):
            continue
        file, _, anchor = link.partition("#")
        target = path.parent / file if file else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_readme_has_a_row_for_every_command():
    rows = re.findall(r"^\| (`.*?`) \|", (PROJECT / "README.md").read_text(), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([a-z-]+)`", row)}
    assert set(command_line.COMMANDS) <= named


def test_readme_can_be_read_in_one_sitting():
    assert len((PROJECT / "README.md").read_text().splitlines()) <= 220
