import pytest

from lowmem_sentiment.search.space import bracket_size, count_runs, halve


def measured(worth, log):
    def measure(candidates, epochs):
        log.append((epochs, list(candidates)))
        return {each: worth[each] for each in candidates if each in worth}

    return measure


def test_the_best_third_of_each_rung_is_trained_on():
    log = []
    halve(range(1, 10), [1, 2, 4], measured({each: -abs(each - 5) for each in range(1, 10)}, log))
    assert log == [(1, list(range(1, 10))), (2, [4, 5, 6]), (4, [5])]


def test_of_equals_the_earlier_is_kept_and_those_that_failed_are_not():
    log = []
    halve([1, 2, 3], [1, 2], measured({2: 0.5, 3: 0.5}, log))
    assert log == [(1, [1, 2, 3]), (2, [2])]


def test_the_default_has_its_epochs_whatever_it_is_worth():
    log = []
    halve([1, 2, 3], [1, 2, 4], measured({1: 0.1, 2: 0.9, 3: 0.5}, log), always=[1])
    assert log == [(1, [1, 2, 3]), (2, [1, 2]), (4, [2])]


def test_a_bracket_in_which_all_fail_ends():
    log = []
    halve([1, 2, 3], [1, 2, 4], measured({}, log))
    assert log == [(1, [1, 2, 3])]


@pytest.mark.parametrize("room", range(3, 40))
def test_a_bracket_is_the_largest_that_comes_to_its_end(room):
    size = bracket_size(room, 3)
    assert count_runs(size, 3) <= room
    assert size == 9 or count_runs(size + 1, 3) > room
