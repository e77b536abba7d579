#!/usr/bin/env bash
# The first use of librosa.util.nnls compiles functions that it does not call, for many seconds of a processor.
#
# Versions: librosa 0.11.0, numba 0.68.1, numpy 2.4.6, scipy 1.17.1.
# Guess:    non-negative least squares are SciPy's L-BFGS-B, so the first call costs the import of SciPy.
# Seen:     librosa.util decorates functions such as localmax with types for Numba, which compiles them at the import. The
#           result is stored beside the package (or in NUMBA_CACHE_DIR), so the second start is fast; in a new
#           environment, a container, or with a package folder that cannot be written, it is the first again.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check librosa==0.11.0 numba==0.68.1 numpy==2.4.6 scipy==1.17.1
cd "$folder"
cat >use.py <<'PYTHON'
import time

import numpy as np
import librosa

assert librosa.__version__ == "0.11.0", "another version"
begin = time.process_time()
librosa.util.nnls(np.eye(3), np.ones((3, 2)))
print(time.process_time() - begin)
PYTHON
export NUMBA_CACHE_DIR=$folder/numba
first=$("$folder/venv/bin/python" use.py)
functions=$(find numba -name '*.nbi' | wc -l)
second=$("$folder/venv/bin/python" use.py)
echo "processor seconds of the first use $first, of the second $second; functions compiled: $functions"
"$folder/venv/bin/python" -c "assert $functions >= 3 and $first > 3 * $second"
