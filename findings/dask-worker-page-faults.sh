#!/usr/bin/env bash
# NumPy programs that a Dask worker starts, or the process of a LocalCluster, take new memory for each large array.
#
# Versions: distributed 2026.8.0, dask 2026.8.0, numpy 2.4.6; Linux with glibc.
# Guess:    MALLOC_TRIM_THRESHOLD_, which Dask sets for its workers (distributed.nanny.pre-spawn-environ, 65536 bytes),
#           only returns memory that is free, and concerns the workers alone.
# Seen:     setting it also stops glibc from raising the size above which malloc maps memory anew (128 KiB). Then each
#           temporary array of 400 kB causes some 30 page faults, otherwise none, and expressions take several times as
#           much processor time. Processes that a worker starts inherit the variable. The process that starts a
#           LocalCluster has it in os.environ from then on, so its other children and further clusters inherit it. It is
#           set nowhere only if the setting is null from the start.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check distributed==2026.8.0 dask==2026.8.0 numpy==2.4.6
cd "$folder"
unset MALLOC_TRIM_THRESHOLD_ MALLOC_MMAP_THRESHOLD_ MALLOC_TOP_PAD_ GLIBC_TUNABLES
cat >child.py <<'PYTHON'
import os
import resource
import time

import numpy as np

array = np.ones(50_000)
for _ in range(20):
    (array * 2 + 1) * array - 3
faults, begin = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.process_time()
for _ in range(500):
    (array * 2 + 1) * array - 3
seconds = time.process_time() - begin
print(os.environ.get("MALLOC_TRIM_THRESHOLD_"), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults, seconds)
PYTHON
cat >use.py <<'PYTHON'
import os
import subprocess
import sys

import dask
import distributed


def child(removed):
    environment = {name: value for name, value in os.environ.items() if name != removed}
    output = subprocess.check_output([sys.executable, "child.py"], env=environment, text=True)
    variable, faults, seconds = output.split()
    return variable, int(faults), float(seconds)


def on_worker(*calls):
    options = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        return [client.submit(*call).result() for call in calls]


if __name__ == "__main__":
    assert distributed.__version__ == "2026.8.0", "another version"
    name = "MALLOC_TRIM_THRESHOLD_"
    assert name not in os.environ
    with dask.config.set({f"distributed.nanny.pre-spawn-environ.{name}": None}):
        (null,) = on_worker((child, ""))
    assert name not in os.environ
    worker, inherited, removed = on_worker((os.environ.get, name), (child, ""), (child, name))
    own, leaked = os.environ.get(name), child("")
    print(f"{name}: {worker} in a worker, {own} in the process that started it")
    results = {"set to null": null, "inherited": inherited, "removed by the worker": removed, "child of this": leaked}
    for title, (variable, faults, seconds) in results.items():
        print(f"program, {title}: variable {variable}, {faults} page faults, {seconds:.2f} s of a processor")
    assert worker == own == leaked[0] == inherited[0] == "65536" and removed[0] == null[0] == "None"
    assert min(inherited[1], leaked[1]) > 3 * max(removed[1], null[1], 1000)
PYTHON
"$folder/venv/bin/python" use.py
