"""A search's remaining budget, by a clock that the tests set."""

import pytest

from lowmem_sentiment.runs.configuration import TrainingSettings
from lowmem_sentiment.search.budget import Budget
from lowmem_sentiment.search.settings import TuneSettings
from lowmem_sentiment.search.space import SearchSpace
from lowmem_sentiment.search.state import FORMAT, Result, TuneState
from lowmem_sentiment.system.errors import SettingsError


def timed(candidate, epochs, epoch_seconds, start_seconds=3.0, value=0.9):
    return Result(
        candidate, epochs, value=value, epoch_seconds=epoch_seconds, start_seconds=start_seconds
    )


class Clock:
    """Seconds that stand still."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def budget_of(dataset, clock):
    """Return what makes a budget of a minute, for runs that were measured."""

    def make(*results, minutes=1.0, spent=0.0):
        state = TuneState(FORMAT, 1, "f", TuneSettings(minutes=minutes), 8 << 30, results=list(results))
        state.seconds = spent
        space = SearchSpace(dataset, TrainingSettings(validation_split=0.1), 8 << 30)
        return Budget(dataset, state, space, 1, clock)

    return make


def test_the_first_run_is_made_though_nothing_is_known(budget_of):
    assert budget_of().admits(1, 16) and not budget_of().is_over()


def test_a_budget_that_fits_no_run_is_refused_before_it_starts(budget_of):
    budget_of().refuse_too_short(2)
    with pytest.raises(SettingsError, match="minutes is 0.1, expected 0.2 or more: one run and"):
        budget_of(minutes=0.1).refuse_too_short(2)
    budget_of(timed(1, 16, 0.5), minutes=0.1).refuse_too_short(2)  # it goes on where it was


def test_the_winner_has_all_reviews_and_the_test_split_after_each_epoch(budget_of):
    """160 reviews in place of 144, and 40 test reviews; an evaluation is two passes over these."""
    budget = budget_of(timed(1, 16, 0.5))
    assert budget.final_seconds(1, 16) == pytest.approx(1.2 * (3 + 0.5 * (16 * 200 + 2 * 40) / 144))


def test_a_run_is_started_and_goes_on_only_while_the_time_of_the_winner_is_left(budget_of, clock):
    budget = budget_of(timed(1, 16, 0.5))
    training, winner = 3 + 4 * 0.5, budget.final_seconds(1, 20)
    clock.now = 60 - winner - training - 0.1
    assert budget.admits(1, 20)
    clock.now += 0.2
    assert not budget.admits(1, 20) and not budget.is_over()
    clock.now = 60 - budget.final_seconds(1, 16) + 0.1
    assert budget.is_over()


def test_no_candidate_is_tried_that_could_not_be_trained_as_the_winner(budget_of, clock):
    budget = budget_of(timed(1, 1, 0.5, value=0.95), timed(2, 1, 6.0))
    clock.now = 20.0
    assert budget.seconds(2, 3) < 60 - 20 - budget.final_seconds(1, 1)
    assert not budget.admits(2, 4) and budget.admits(1, 4)


def test_a_machine_that_became_slower_is_slow_for_the_winner_too(budget_of):
    before = [timed(nth, 1, 0.5) for nth in (1, 2, 1, 2)]
    slower = [timed(2, 1, 1.5, start_seconds=9.0) for _ in range(3)]
    quiet, busy = budget_of(*before), budget_of(*before, *slower)
    assert quiet.seconds(1, 4) == pytest.approx(3 + 4 * 0.5, rel=0.01)
    assert busy.seconds(1, 4) == pytest.approx(9 + 4 * 0.5 * 3, rel=0.01)
    assert busy.final_seconds(1, 4) - quiet.final_seconds(1, 4) > 1.2 * (6 + 4 * 1.0 * 200 / 144)
    faster = budget_of(*slower, *before)
    assert faster.seconds(1, 4) == pytest.approx(3 + 4 * 0.5, rel=0.01)  # as its own last run


def test_the_runs_left_are_counted_exactly_or_estimated_by_time(dataset, budget_of, clock):
    budget = budget_of(timed(1, 16, 0.5), minutes=10)
    assert budget.runs_left() == pytest.approx((600 - budget.final_seconds(1, 16)) / 11)
    state = TuneState(FORMAT, 1, "f", TuneSettings(runs=5), 8 << 30, results=[timed(1, 16, 0.5)])
    assert Budget(dataset, state, {}, 1, clock).runs_left() == 4


def test_a_resumed_search_has_spent_what_it_had(budget_of, clock):
    clock.now = 7.0
    budget = budget_of(spent=50.0)
    clock.now = 9.0
    assert budget.spent == 52.0
