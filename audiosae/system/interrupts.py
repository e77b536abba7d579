"""SIGINT (Ctrl-C): blocked in child processes, and turned into a request to stop."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def block_sigint() -> Iterator[None]:
    """Block SIGINT in processes and threads started meanwhile, even while Python starts up in them.

    The signal is blocked for the moment, which they inherit; one that arrives meanwhile is delivered after.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # it would lift the block
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def gentle_interrupt(asked: threading.Event) -> Iterator[None]:
    """Turn the first Ctrl-C into a request; the second is Python's own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def ask(number: int, frame: Any) -> None:  # noqa: ANN401, ARG001
        asked.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
