"""Successive halving: train many candidates a little, and the best third of them for longer.

Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization" (2016);
a third is kept, as in Hyperband (Li et al., 2018). Their libraries are not among the dependencies, and
this is all that is needed of them.
"""

from collections.abc import Callable, Collection, Sequence

KEPT = 3
"""One in this many is kept after each rung, and at least one."""

BRACKET = KEPT**2
"""The candidates of a bracket: 9, then 3, then 1."""


def count_kept(candidates: int) -> int:
    """Return how many candidates a rung keeps of those that it measured."""
    return max(1, candidates // KEPT) if candidates else 0


def count_runs(candidates: int, rungs: int) -> int:
    """Return how many trainings a bracket takes, over all its rungs.

    >>> count_runs(9, 3)
    13
    """
    runs = 0
    for _ in range(rungs):
        runs += candidates
        candidates = count_kept(candidates)
    return runs


def bracket_size(room: float, rungs: int) -> int:
    """Return how many candidates the next bracket has if `room` trainings are left: 0 to 9.

    It is the largest bracket that can be completed, or one candidate if none can.

    >>> [bracket_size(room, 3) for room in (0.9, 1, 4, 12, 13, 100)]
    [0, 1, 2, 8, 9, 9]
    """
    if room < 1:
        return 0
    return next((size for size in range(BRACKET, 0, -1) if count_runs(size, rungs) <= room), 1)


def halve(
    candidates: Sequence[int],
    rungs: Sequence[int],
    measure: Callable[[Sequence[int], int], dict[int, float]],
    always: Collection[int] = (),
    always_until: int = 0,
) -> None:
    """Measure candidates at each rung (epochs), and go up with the best third of those measured.

    `measure` returns the worth of each candidate at a rung, the greater the better, without candidates
    that failed or were not reached. Candidates in `always` go up to the rung of `always_until` epochs
    whatever their worth. Among equals the earlier candidate is kept.
    """
    left = list(candidates)
    for rung, nxt in zip(rungs, [*rungs[1:], None], strict=True):
        worth = measure(left, rung)
        ranked = sorted(worth, key=lambda candidate: (-worth[candidate], candidate))
        left = sorted(ranked[: count_kept(len(ranked))])
        if nxt and nxt <= always_until:
            left = sorted({*left, *(candidate for candidate in always if candidate in worth)})
        if not left:
            return
