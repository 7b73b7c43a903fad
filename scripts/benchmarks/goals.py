"""What this software has to reach against the others, judged by the medians of one benchmark."""

from typing import Any, NamedTuple


class Goal(NamedTuple):
    """Ours divided by theirs is at most `most`."""

    text: str
    figure: str
    other: str
    most: float


GOALS = (
    Goal("peak memory at most 1/13 of the tutorial's", "peak_resident_bytes", "tutorial", 1 / 13),
    Goal("peak memory within 15 % of the network's alone", "peak_resident_bytes", "floor", 1.15),
    Goal("whole time at most 1/6 of the tutorial's", "seconds", "tutorial", 1 / 6),
    Goal("an epoch at most that of the network alone", "epoch_seconds", "floor", 1.0),
    Goal("an epoch at most 0.95 of PyTorch's", "epoch_seconds", "pytorch", 0.95),
)


def check(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return each goal with its ratio and whether it is met; both None where one was not measured.

    `rows` are those of `contenders.summarise`.
    """
    ratios = {row["name"]: row["ratio"] for row in rows}
    checked = []
    for goal in GOALS:
        theirs = ratios.get(goal.other, {}).get(goal.figure)
        ratio = 1 / theirs if theirs else None
        met = None if ratio is None else ratio <= goal.most
        checked.append({"goal": goal.text, "ratio": ratio, "most": goal.most, "met": met})
    return checked


def lines(checked: list[dict[str, Any]]) -> list[str]:
    """Return a line for each goal."""
    marks = {True: "pass", False: "FAIL", None: "not measured"}
    return [
        f"{marks[goal['met']]:13} {goal['goal']}"
        + (f": {goal['ratio']:.3f}, at most {goal['most']:.3f}" if goal["ratio"] else "")
        for goal in checked
    ]
