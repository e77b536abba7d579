"""SIGINT (Ctrl-C): delayed in critical sections, blocked in child processes, or turned into a request to stop."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
import time
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_REPEAT_SECONDS = 0.01


_arrived: list[int] = []


@contextmanager
def record_interrupts() -> Iterator[None]:
    """Record each Ctrl-C that raises KeyboardInterrupt in this context, for `was_interrupted`."""
    _arrived.clear()
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _recorded)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _recorded(number: int, frame: FrameType | None) -> None:
    _arrived.append(number)
    signal.default_int_handler(number, frame)


def was_interrupted() -> bool:
    """Return whether a Ctrl-C was recorded in the last such context.

    KeyboardInterrupt may be replaced by another exception: an ImportError by C code that is being loaded, and a
    RuntimeError by Python 3.11 while a class is created.
    """
    return bool(_arrived)


@contextmanager
def hold_interrupts() -> Iterator[None]:
    """Delay a Ctrl-C that arrives in this context until its end; then it takes effect as usual.

    Python runs signal handlers between any two steps of the main thread, whichever thread the system interrupts. A
    KeyboardInterrupt inside a callback of C code is printed and lost, and one inside the start of a thread leaves a
    thread that nobody ends.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    arrived: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda number, frame: arrived.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if arrived:
            before(*arrived[-1])


@contextmanager
def block_sigint() -> Iterator[None]:
    """Block SIGINT in processes and threads that are started in this context, also during the start-up of Python.

    They inherit the blocked signal mask of this thread. A signal that arrives in this context is delivered at its end.
    """
    with hold_interrupts():
        if not hasattr(signal, "pthread_sigmask"):
            yield
            return
        resource_tracker.ensure_running()  # its start would unblock the signal
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def repeat_lost_interrupts() -> Iterator[None]:
    """Repeat a Ctrl-C that Python cannot raise, because it came inside a destructor or a callback of a weak reference.

    Python would print a traceback, and the program would continue as if nothing had happened.
    """
    before = sys.unraisablehook

    def hook(lost: sys.UnraisableHookArgs) -> None:
        if issubclass(lost.exc_type, KeyboardInterrupt):
            _thread.start_new_thread(_interrupt_soon, ())
        else:
            before(lost)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def _interrupt_soon() -> None:
    time.sleep(_REPEAT_SECONDS)  # the destructor has usually ended by then
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, signal.SIGINT)  # also wakes the main thread if it waits
    else:
        _thread.interrupt_main()


@contextmanager
def gentle_interrupt(requested: threading.Event) -> Iterator[None]:
    """Set an event at the first Ctrl-C; the second one raises KeyboardInterrupt as usual."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def request(*_: object) -> None:
        requested.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, request)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
