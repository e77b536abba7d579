"""The program ``audiosae``, also started by ``python -m audiosae``."""

import sys


def main() -> None:
    """Run the command line. A Ctrl-C ends it at any time: while it loads (all imports are here), works, and ends."""
    status: object = 130
    try:
        import signal

        from audiosae.cli import main as run_command_line

        run_command_line()
    except SystemExit as ended:
        status = ended.code
    except (KeyboardInterrupt, Exception) as error:
        # Python 3.11 replaces a Ctrl-C while a class is created
        if not isinstance(error, KeyboardInterrupt) and not isinstance(error.__cause__, KeyboardInterrupt):
            raise
        sys.stderr.write("audiosae: interrupted\n")
    if status == 130:  # noqa: PLR2004
        _end_now()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the work is done, and the end takes a moment
    raise SystemExit(status)


def _end_now() -> None:
    """End this process without waiting for threads that still compute; a second Ctrl-C ends it at once."""
    import atexit
    import os
    import signal
    from contextlib import suppress

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if "multiprocessing" in sys.modules:  # threads that still compute may wait for processes, which the exit would join
        from multiprocessing import active_children

        for process in active_children():
            process.kill()
    atexit._run_exitfuncs()  # noqa: SLF001 (the only way to run them before os._exit)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # closed at the other end
            stream.flush()
    os._exit(130)


if __name__ == "__main__":
    main()
