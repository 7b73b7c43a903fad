"""README and the guides name only what there is."""

import argparse
import re
from pathlib import Path

import pytest

from lowmem_sentiment.cli import command_line

PROJECT = Path(__file__).parents[1]
GUIDES = ["README.md", "src/lowmem_sentiment/distributed/README.md"]
OF_OTHERS = {"--no-deps", "--quick", "--cases", "--gate"}
"""Options of pip and of the scripts."""


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    found = set(parser._option_string_actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                found |= options_of(each)
    return found


@pytest.mark.parametrize("guide", GUIDES)
def test_every_option_that_a_guide_names_is_one(guide):
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]", (PROJECT / guide).read_text()))
    assert named - options_of(command_line._parser()) <= OF_OTHERS


def test_readme_has_a_row_for_every_command():
    rows = re.findall(r"^\| (`.*?`) \|", (PROJECT / "README.md").read_text(), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([a-z-]+)`", row)}
    parser = command_line._parser()
    [commands] = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    assert set(commands.choices) <= named


def test_readme_can_be_read_in_one_sitting():
    assert len((PROJECT / "README.md").read_text().splitlines()) <= 300
