"""Two computations that take turns read a stream once, and both get all of it."""

from __future__ import annotations

import pytest

from audiosae.system.in_turn import in_turn, shared


class Numbers:
    """A stream of the numbers below `count`; the largest difference between what was read and used is `ahead`."""

    def __init__(self, count, error=None):
        self.count, self.error, self.read, self.ahead = count, error, 0, 0

    def stream(self):
        for number in range(self.count):
            self.read += 1
            yield number
        if self.error:
            raise self.error
        return "a note"

    def listed(self, every):
        """Use all numbers, and yield after `every` of them; return them with the note."""
        found = []
        numbers = shared("key", self.stream)
        while True:
            try:
                found.append(next(numbers))
            except StopIteration as end:
                return found, end.value
            except ValueError as error:
                return found, str(error)
            self.ahead = max(self.ahead, self.read - len(found))
            if len(found) % every == 0:
                yield


def results(first, *others):
    """Return what `in_turn` returns, and what the others return."""
    ends = []

    def kept(other):
        ends.append((yield from other))

    return [in_turn(first, *map(kept, others)), *ends]


@pytest.mark.parametrize(("one", "other"), [(1, 1), (1, 10), (10, 1), (7, 300)])
def test_both_get_the_whole_stream_which_is_read_once(one, other):
    numbers = Numbers(100)
    assert results(numbers.listed(one), numbers.listed(other)) == [(list(range(100)), "a note")] * 2
    assert numbers.read == 100
    assert numbers.ahead <= (20 if other < 100 else 100)


def test_an_error_of_the_stream_is_raised_in_both():
    numbers = Numbers(5, ValueError("broken"))
    assert results(numbers.listed(1), numbers.listed(2)) == [([0, 1, 2, 3, 4], "broken")] * 2


def test_one_alone_reads_a_stream_of_its_own():
    assert results(Numbers(3).listed(1)) == [([0, 1, 2], "a note")]


def test_an_error_of_one_closes_both():
    def failing():
        yield from shared("key", Numbers(3).stream)
        raise KeyError

    closed = []

    def other():
        try:
            yield from shared("key", Numbers(3).stream)
            yield from range(100)
        finally:
            closed.append(True)

    with pytest.raises(KeyError):
        in_turn(failing(), other())
    assert closed == [True]
    assert list(shared("key", Numbers(2).stream)) == [0, 1]
