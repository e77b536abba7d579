"""Capture of standard error: the output of C libraries is not shown, and standard error is restored."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiosae.system.stderr import CapturedStderr, capture_stderr


def write(text):
    os.write(2, text.encode())


def test_an_inner_capture_has_the_output_within_it(capfd):
    outer, inner = CapturedStderr(), CapturedStderr()
    with capture_stderr(outer):
        write("a ")
        with capture_stderr(inner):
            write("b ")
        write("c")
    write("back")
    assert (outer.text, inner.text) == ("a b c", "b")
    assert capfd.readouterr().err == "back"


def test_standard_error_is_restored_whichever_thread_ends_first(capfd):
    begun, first_ended = threading.Event(), threading.Event()

    def second():
        with capture_stderr(CapturedStderr()):
            begun.set()
            first_ended.wait(10)
            write("captured")

    thread = threading.Thread(target=second)
    with capture_stderr(CapturedStderr()):
        thread.start()
        begun.wait(10)
    first_ended.set()
    thread.join()
    write("back")
    assert capfd.readouterr().err == "back"


@pytest.fixture
def strange(tmp_path):
    """MP3 files with random bytes in the middle, about which libmpg123 prints messages."""
    rng, folder = np.random.default_rng(0), tmp_path / "strange"
    folder.mkdir()
    for number in range(3):
        path = folder / f"{number}.mp3"
        soundfile.write(path, 0.1 * rng.normal(size=4 * 22050), 22050)
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2] + rng.bytes(3000) + whole[len(whole) // 2 :])
    return folder


def test_no_command_prints_messages_of_the_decoder(strange, tmp_path, run):
    model, heard = tmp_path / "run", "Illegal Audio-MPEG-Header"
    for command in (
        ["inspect", strange],
        ["train", strange, "-o", model, "--hidden", 4, "--epochs", 1],
        ["survey", model, strange, "-o", tmp_path / "found", "--types", 1],
        ["find", model, strange, "--like", strange / "0.mp3", "-o", tmp_path / "like.html"],
        ["report", model, strange, "-o", tmp_path / "page.html"],
    ):
        code, _, err = run(*command)
        printed = [line for line in err.splitlines() if heard in line and "decoder: " not in line]
        assert (code, printed) == (0, []), command
    assert heard in Path(model / "journal.csv").read_text()
