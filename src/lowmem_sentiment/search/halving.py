"""Successive halving: train many candidates a little, and the best third of them for longer.

Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization" (2016);
a third is kept, as in Hyperband (Li et al., 2018).
"""

from collections.abc import Callable, Collection, Sequence

_KEPT = 3  # one in this many is kept after each rung, and at least one

_BRACKET = _KEPT**2  # the candidates of a bracket: 9, then 3, then 1


def count_runs(candidates: int, rungs: int) -> int:
    """Return how many trainings a bracket takes, over all its rungs.

    >>> count_runs(9, 3)
    13
    """
    return sum(max(1, candidates // _KEPT**nth) for nth in range(rungs))


def bracket_size(room: float, rungs: int) -> int:
    """Return how many candidates the next bracket has if `room` trainings are left: 0 to 9.

    It is the largest bracket that can be completed, or one candidate if none can.

    >>> [bracket_size(room, 3) for room in (0.9, 1, 4, 12, 13, 100)]
    [0, 1, 2, 8, 9, 9]
    """
    if room < 1:
        return 0
    return next((size for size in range(_BRACKET, 0, -1) if count_runs(size, rungs) <= room), 1)


def halve(
    candidates: Sequence[int],
    rungs: Sequence[int],
    measure: Callable[[Sequence[int], int], dict[int, float]],
    always: Collection[int] = (),
) -> None:
    """Measure candidates at each rung (epochs), and go up with the best third of those measured.

    `measure` returns the worth of each candidate at a rung, the greater the better, without candidates
    that failed or were not reached. Candidates in `always` go up to the second rung regardless of worth.
    Ties go to the earlier candidate.
    """
    left = list(candidates)
    for rung in rungs:
        worth = measure(left, rung)
        ranked = sorted(worth, key=lambda candidate: (-worth[candidate], candidate))
        kept = set(ranked[: max(1, len(ranked) // _KEPT)])
        if rung == rungs[0]:
            kept |= worth.keys() & set(always)
        left = sorted(kept)
        if not left:
            return
