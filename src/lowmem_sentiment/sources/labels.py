"""Find labels that look alike, and labels that mean no label, by a normal form."""

import functools
import re
import shlex
import unicodedata
from collections import defaultdict
from collections.abc import Iterable

from ..system.errors import printable
from ..system.settings import plain

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")

# Cyrillic and Greek letters that look like Latin ones in lower case
_LOOK_ALIKE = str.maketrans("аеорсухіјѕԁһӏοαρυνκι", "aeopcyxijsdhloapuvki")

_NONE = (
    "nan", "na", "n/a", "none", "null", "nil", "\\n", "?", "-", "missing", "undefined", "unsup",
    "unlabeled", "unlabelled", "unsupervised", "#n/a", "<na>", "not available",
)  # fmt: skip


@functools.lru_cache(maxsize=4_096)
def normalised(label: str) -> str:
    """Return the form that is the same for labels that look alike.

    Unicode's NFKC, lower case, no zero-width characters, single spaces, numbers as numbers, and Latin
    letters for similar ones of other scripts if the label has Latin letters too.

    >>> [normalised(label) for label in ("1.0", "01", "True ", "p\\u043es")]
    ['1', '1', 'true', 'pos']
    """
    label = unicodedata.normalize("NFKC", label).casefold()
    label = "".join(each for each in label if unicodedata.category(each) not in ("Cf", "Cc"))
    label = " ".join(label.split())
    if _NUMBER.fullmatch(label) and len(label) < 16:
        return f"{float(label):g}" if abs(float(label)) < 1e6 else str(int(float(label)))
    return label.translate(_LOOK_ALIKE) if re.search("[a-z]", label) else label


def label_warnings(labels: Iterable[str]) -> list[str]:
    """Return a line for each group of labels that look alike, and one for those that mean no label."""
    groups = defaultdict(list)
    for label in labels:
        groups[normalised(label)].append(label)
    lines = [
        f"the labels {', '.join(ascii(each) for each in sorted(group))} look alike; "
        "--normalise-labels merges them"
        for group in groups.values()
        if len(group) > 1
    ]
    if none := [label for group, found in groups.items() if group in _NONE for label in found]:
        leave_out = plain(dict.fromkeys(none, ""))
        lines.append(
            f"the labels {', '.join(map(printable, none))} look like missing labels; drop their reviews: "
            f"--label-map={shlex.quote(leave_out)}"
        )
    return lines
