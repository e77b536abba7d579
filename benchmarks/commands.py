"""Run a command and measure it with every process that it starts: elapsed and processor seconds, peak memory (Linux).

Decoding processes are started by a server process that the command does not wait for, so that the times of the
command's children leave them out. A process between the benchmark and the command adopts and waits for all of them.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

_ADOPT = 36  # PR_SET_CHILD_SUBREAPER


@dataclass(frozen=True)
class Cost:
    """What a command took.

    Attributes
    ----------
    seconds, processor_seconds
        Elapsed time, and the time of all processors.
    peak
        Largest memory of all its processes together, MiB. Memory mapped from files does not count, because the system
        can free it at any time.
    """

    seconds: float
    processor_seconds: float
    peak: float

    @property
    def text(self) -> str:
        """Both times as text."""
        return f"{self.seconds:.1f} s ({self.processor_seconds:.1f} s of the processors)"


def measured(command: list[str], *, folder: Path | None = None, **environment: str) -> Cost:
    """Run a command in a folder and return what it took; RuntimeError if it fails."""
    done = subprocess.run(
        [sys.executable, __file__, *command],
        cwd=folder,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}")
    return Cost(**json.loads(done.stdout))


def _main(command: list[str]) -> int:
    ctypes.CDLL(None).prctl(_ADOPT, 1, 0, 0, 0)
    began, peak = time.perf_counter(), 0.0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        peak = max(peak, _memory(process.pid))
        time.sleep(0.02)
    seconds = time.perf_counter() - began
    with suppress(ChildProcessError):  # none is left
        while True:
            os.wait()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(json.dumps(asdict(Cost(seconds, used.ru_utime + used.ru_stime, peak))))
    return process.returncode


def _memory(pid: int) -> float:
    """Return the anonymous memory of a process and its children in MiB."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        return 0.0
    own = sum(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon:"))
    return own + sum(_memory(int(child)) for child in children)


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
