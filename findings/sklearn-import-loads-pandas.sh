#!/usr/bin/env bash
# The import of scikit-learn loads pandas, PyArrow and scipy.stats.
#
# Versions: scikit-learn 1.9.1, pandas 3.1.1, pyarrow 26.0.1, scipy 1.17.1, numpy 2.4.6.
# Guess:    pandas is optional, and is loaded when a data frame is given; a submodule loads what it needs.
# Seen:     "import sklearn" alone imports scipy.stats and pandas (in sklearn.utils.fixes), and pandas imports PyArrow,
#           if they are installed. Pandas and PyArrow take some 60 MiB in each process that imports any estimator, such
#           as each worker of a pool, although none uses a data frame.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check scikit-learn==1.9.1 pandas==3.1.1 pyarrow==26.0.1 \
    scipy==1.17.1 numpy==2.4.6
cd "$folder"
cat >use.py <<'PYTHON'
import importlib
import resource
import sys
import time

sys.modules.update(dict.fromkeys(sys.argv[2:]))  # as if these were not installed
begin = time.process_time()
importlib.import_module(sys.argv[1])
seconds, mebibytes = time.process_time() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
loaded = [name for name in ("pandas", "pyarrow", "scipy.stats") if sys.modules.get(name)]
print(f"{seconds:.2f} s of a processor, {mebibytes:.0f} MiB, loaded: {' '.join(loaded) or '-'}")
PYTHON
python=$folder/venv/bin/python
for module in sklearn sklearn.cluster sklearn.linear_model sklearn.metrics; do
    "$python" use.py $module >/dev/null  # the first time, the files are compiled and read from the disk
    echo "import $module: $("$python" use.py $module)" | tee -a seen
done
echo "import sklearn.cluster without pandas: $("$python" use.py sklearn.cluster pandas pyarrow)" | tee -a seen
"$python" - <<'PYTHON'
import re

import sklearn

assert sklearn.__version__ == "1.9.1", "another version"
lines = open("seen").read().splitlines()
loaded, size = ([found[1] for found in map(re.compile(rule).search, lines)] for rule in (r"loaded: (.*)", r"(\d+) MiB"))
assert loaded == ["pandas pyarrow scipy.stats"] * 4 + ["scipy.stats"]
assert int(size[1]) > int(size[4]) + 30
PYTHON
