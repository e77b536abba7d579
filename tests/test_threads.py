"""Threads in a process that decodes: the same numbers in the same order, whatever their count."""

from __future__ import annotations

import time

import numpy as np
import pytest
from signals import tone, write

from audiosae.recordings.spectrogram import Spectrogram
from audiosae.system import threads
from audiosae.system.processes import run_in_order


@pytest.fixture(autouse=True)
def one_again():
    yield
    threads.allow(1)


@pytest.mark.parametrize("scale", ["mel", "linear"])
def test_a_field_does_not_depend_on_the_number_of_threads(tmp_path, scale):
    path = write(tmp_path / "a.wav", tone(60.0))
    domain = Spectrogram(sample_rate=8000, scale=scale).resolve([])
    one = np.concatenate(list(domain.field(path)))
    threads.allow(3)
    np.testing.assert_array_equal(np.concatenate(list(domain.field(path))), one)


@pytest.mark.parametrize("count", [1, 3])
def test_results_come_in_the_order_of_the_pieces(count):
    threads.allow(count)

    def work(number):
        time.sleep(0.01 * (number % 3))
        return number

    assert list(threads.in_order(work, range(40))) == list(range(40))


def test_an_error_in_a_thread_is_the_callers():
    threads.allow(2)
    with pytest.raises(ZeroDivisionError):
        list(threads.in_order(lambda number: 1 // (5 - number), range(40)))


def allowed(job):
    return threads._count


@pytest.mark.parametrize(("weights", "count"), [([2**22], 4), ([2**22] * 2, 2), ([2**22] * 3, 1), ([1] * 16, 4)])
def test_fewer_batches_than_processes_have_the_other_cores_as_threads(weights, count):
    found = run_in_order(allowed, weights, workers=4, crashed=lambda job: None, weigh=lambda weight: weight)
    assert list(found) == [count] * len(weights)
