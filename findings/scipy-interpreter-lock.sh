#!/usr/bin/env bash
# Some of SciPy's calls of LAPACK, and ward, stop all other threads of Python for as long as they compute.
#
# Versions: scipy 1.17.1, numpy 2.4.6, CPython with the global interpreter lock; at least two cores.
# Guess:    long calls of compiled code release the lock, as numpy.linalg does, so threads can run them side by side.
# Seen:     numpy.linalg.eigh and cholesky, and SciPy's qr and pdist, release it. scipy.linalg.eigh, cholesky, solve and
#           solve_triangular and scipy.cluster.hierarchy.ward hold it: a thread that wakes up each millisecond sleeps
#           for nearly the whole call. Threads do not shorten them, and servers and progress bars stop.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check scipy==1.17.1 numpy==2.4.6
cd "$folder"
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
"$folder/venv/bin/python" - <<'PYTHON'
import threading
import time

import numpy as np
import scipy
import scipy.cluster.hierarchy
import scipy.linalg
from scipy.spatial.distance import pdist

assert scipy.__version__ == "1.17.1", "another version"
rng, size = np.random.default_rng(0), 1500
matrix = rng.normal(size=(size, size))
matrix = matrix @ matrix.T / size + np.eye(size)
factor, right, points = np.linalg.cholesky(matrix), rng.normal(size=(size, 3 * size)), rng.normal(size=(3000, 100))
distances = pdist(points)
calls = {
    "numpy.linalg.eigh": lambda: np.linalg.eigh(matrix),
    "numpy.linalg.cholesky": lambda: np.linalg.cholesky(matrix),
    "scipy.linalg.qr": lambda: scipy.linalg.qr(matrix),
    "scipy.spatial.distance.pdist": lambda: pdist(points),
    "scipy.linalg.eigh": lambda: scipy.linalg.eigh(matrix),
    "scipy.linalg.cholesky": lambda: scipy.linalg.cholesky(matrix, lower=True),
    "scipy.linalg.solve": lambda: scipy.linalg.solve(matrix, right),
    "scipy.linalg.solve_triangular": lambda: scipy.linalg.solve_triangular(factor, right, lower=True),
    "scipy.cluster.hierarchy.ward": lambda: scipy.cluster.hierarchy.ward(distances),
}


def longest_sleep(call):
    """Return the longest time for which another thread did not run, as a share of the duration of the call."""
    times, stop = [], threading.Event()

    def wake():
        while not stop.is_set():
            times.append(time.perf_counter())
            time.sleep(0.001)

    thread = threading.Thread(target=wake)
    thread.start()
    time.sleep(0.05)
    begin = time.perf_counter()
    call()
    end = time.perf_counter()
    stop.set()
    thread.join()
    return np.diff([begin, *(moment for moment in times if begin < moment < end), end]).max() / (end - begin)


shares = {name: min(longest_sleep(call) for _ in range(5)) for name, call in calls.items()}
for name, share in shares.items():
    print(f"{name:30} another thread sleeps for {100 * share:3.0f} % of the call")
holding = [name for name, share in shares.items() if share > 0.5]
assert holding == list(calls)[4:], holding
PYTHON
