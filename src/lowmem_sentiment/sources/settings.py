"""The settings of reading labelled texts from files."""

import re
from dataclasses import dataclass
from typing import Any

from ..system.errors import SettingsError
from ..system.settings import setting
from ..text.reader_settings import ReaderSettings

SPLIT_RULES = ("hash", "stratified")


_QUOTED = r'"(?:[^"]|"")*"'

_PAIR = re.compile(rf"\s*({_QUOTED}|[^,=]*?)\s*=\s*({_QUOTED}|[^,]*?)\s*(?:,|\Z)")


def read_label_map(text: str) -> dict[str, str]:
    """Return the map "OLD=NEW,..." as a dictionary; ValueError for anything else.

    >>> read_label_map('"Money, virtual"=money,1=')
    {'Money, virtual': 'money', '1': ''}
    """
    if _PAIR.sub("", text).strip(", "):
        raise ValueError(text)
    return {_unquoted(old): _unquoted(new) for old, new in _PAIR.findall(text)}


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if re.fullmatch(_QUOTED, name) else name


@dataclass(frozen=True)
class FilesSettings(ReaderSettings):
    """How to read labelled text files, and how to make reviews of them."""

    test: tuple[str, ...] = ()
    """Files of the test split; all others are then of the training split."""
    validation: tuple[str, ...] = ()
    """Files of the validation split, which `train` validates on."""
    test_fraction: float = setting(
        0.2,
        "share of the texts to test on, without --test or a folder named test",
        metavar="SHARE",
        at_least=0,
        below=1,
    )
    split: str = setting(
        "hash",
        "how the test texts are chosen. hash: by the hash of a text's bytes, so that it stays in its "
        "split when others are added; the number of each label is left to chance. stratified: the "
        "same share of each label, to one review, drawn by --seed, for few texts or a rare label; "
        "texts with the same words go to one split; takes 10 bytes of memory per text, and 60 while "
        "they are divided",
        choices=SPLIT_RULES,
    )
    seed: int = setting(0, "seed of --split stratified", at_least=0)
    label_map: dict[str, str] = setting(
        {},
        "rename or merge labels; OLD= drops a label's texts",
        metavar="OLD=NEW,...",
        read=(read_label_map, "OLD=NEW,..."),
    )
    normalise_labels: bool = setting(
        False,
        "merge labels that look alike, before --label-map: case, spaces, 1 and 1.0, forms of Unicode, "
        "letters of another script",
    )
    labels: tuple[str, ...] = setting(
        (), "the labels and their order (default: those found, sorted)", metavar="LABEL,..."
    )
    follow_links: bool = setting(False, "read links in a folder, which are otherwise bad rows")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.split == "stratified" and self.test:
            raise SettingsError(
                "split is stratified, but --test names the test split; expected one of both"
            )
        if len(set(self.labels)) < len(self.labels):
            raise SettingsError(f"labels is {','.join(self.labels)}, expected each label once")

    def describe(self) -> dict[str, Any]:
        """Return the settings that the manifest records."""
        content: dict[str, Any] = {} if self.test else {"test_fraction": self.test_fraction}
        if self.split != "hash":
            content |= {"split": self.split, "split_seed": self.seed}
        content |= {"label_map": self.label_map, "errors": self.errors}
        if self.normalise_labels:
            content["normalise_labels"] = True
        for name in ("text_column", "label_column"):
            if (column := getattr(self, name)) is not None:
                content[name] = column
        if self.encoding_name != "utf-8":
            content["encoding"] = self.encoding_name
        return content
