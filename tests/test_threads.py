"""Threads in a decoding process: the same results in the same order with any number of threads."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from signals import tone, write
from threadpoolctl import threadpool_info, threadpool_limits

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
def test_results_are_in_the_order_of_the_pieces(count):
    threads.allow(count)

    def work(number):
        time.sleep(0.01 * (number % 3))
        return number

    assert list(threads.in_order(work, range(40))) == list(range(40))


def test_an_error_in_a_thread_is_raised_in_the_caller():
    threads.allow(2)
    with pytest.raises(ZeroDivisionError):
        list(threads.in_order(lambda number: 1 // (5 - number), range(40)))


def allowed(job):
    return threads._count


@pytest.mark.parametrize(("weights", "count"), [([2**22], 4), ([2**22] * 2, 2), ([2**22] * 3, 1), ([1] * 16, 4)])
def test_the_remaining_cores_are_used_as_threads(weights, count):
    found = run_in_order(allowed, weights, workers=4, crashed=lambda job: None, weigh=lambda weight: weight)
    assert list(found) == [count] * len(weights)


def blas(_=None):
    """Return the number of threads of each BLAS."""
    import scipy.linalg  # noqa: F401 (another BLAS)

    return {found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas"}


def test_blas_has_one_thread_until_the_last_caller_ends():
    def nap(number):
        with threads.one_blas_thread():
            time.sleep(0.01 * (number % 3))
            return blas()

    with threadpool_limits(2, user_api="blas"):
        before = blas()
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(nap, range(20))) == [{1}] * 20
        assert blas() == before
        with threads.one_blas_thread(), threads.one_blas_thread():
            assert blas() == {1}
        assert blas() == before


LATE = """
from threadpoolctl import threadpool_info
from audiosae.system.threads import one_blas_thread
with one_blas_thread():
    import scipy.linalg
    with one_blas_thread():
        print(*{found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas"})
"""


def test_a_blas_that_is_loaded_later_has_one_thread():
    assert subprocess.run([sys.executable, "-c", LATE], capture_output=True, check=True, text=True).stdout == "1\n"


def test_blas_has_one_thread_in_decoding_processes():
    assert list(run_in_order(blas, range(2), workers=2, crashed=lambda job: None)) == [{1}, {1}]
