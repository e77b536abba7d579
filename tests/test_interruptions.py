"""Ctrl-C and kills: none is lost, each ends the command soon, and no partial result is taken for whole."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Timer

import pytest
from interruptions import COMMANDS, Place, trial
from signals import tone, wav_bytes

from audiosae.commands.output_folder import OutputFolder
from audiosae.commands.run_folder import RunFolder
from audiosae.errors import InputError
from audiosae.recordings import repair
from audiosae.recordings.audio import read_excerpt, read_mono
from audiosae.system import stderr
from audiosae.system.files import replacing
from audiosae.system.interrupts import hold_interrupts
from audiosae.system.processes import run_in_order
from audiosae.system.schema import FactsFile, Object
from audiosae.system.threads import Threads
from audiosae.views import media

CACHED = "audiosae: interrupted; decoded files are in the cache and need not be decoded again"
NOT_CACHED = "audiosae: interrupted; with --cache none, no decoded file is kept on this machine"


def interrupt(*_, **__):
    signal.raise_signal(signal.SIGINT)


@pytest.fixture(scope="module")
def place(tmp_path_factory, trained):
    return Place(tmp_path_factory.mktemp("trials"), trained, trained)


@pytest.mark.parametrize("number", range(10))
def test_an_interrupted_command_ends_with_one_line_or_the_whole_result(place, number):
    quick = [name for name in COMMANDS if "local" not in name]
    name = quick[number * len(quick) // 10]
    trial(place, name, random.Random(number), seconds=0.8, again=0.0)


LONG = "samples"  # computes for ten seconds, and writes every file with the function that the other commands use


@pytest.mark.slow
@pytest.mark.parametrize("number", range(40))
def test_an_interrupted_command_works_afterwards(place, number):
    names = [name for name in COMMANDS if name != LONG]
    trial(place, names[number % len(names)], random.Random(100 + number))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in COMMANDS if name != LONG and "{out}" in str(COMMANDS[name])])
def test_a_killed_command_works_afterwards(place, name):
    trial(place, name, random.Random(name), signal.SIGKILL)


def test_an_interrupt_that_is_held_takes_effect_at_the_end_of_the_context():
    reached = []

    def held():
        with hold_interrupts():
            with hold_interrupts():
                interrupt()
            reached.append("the end")

    with pytest.raises(KeyboardInterrupt):
        held()
    assert reached == ["the end"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_held_interrupt_of_a_program_that_ignores_them_is_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    with hold_interrupts():
        interrupt()
    assert signal.signal(signal.SIGINT, before) is signal.SIG_IGN


def test_an_interrupt_while_a_sound_is_encoded_is_raised(monkeypatch):
    class File(io.BytesIO):
        def write(self, content):
            interrupt()
            return super().write(content)

    monkeypatch.setattr(media.io, "BytesIO", File)
    with pytest.raises(KeyboardInterrupt):
        media.encode_sound(tone(), 8000)


@pytest.mark.parametrize("read", [lambda path: list(read_mono(path, 8000)), lambda path: read_excerpt(path, 0.1, 0.2)])
def test_an_interrupt_while_a_corrected_recording_is_read_is_raised(tmp_path, monkeypatch, read):
    class Interrupted(repair._Corrected):
        def read(self, count):
            interrupt()
            return super().read(count)

    monkeypatch.setattr(repair, "_Corrected", Interrupted)
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(tone(), claimed=0))
    with pytest.raises(KeyboardInterrupt):
        read(path)


def test_an_interrupt_in_a_destructor_is_not_lost(run, monkeypatch, trained):
    class Fragile:
        def __del__(self):
            interrupt()

    def load(_):
        Fragile()
        time.sleep(20)

    monkeypatch.setattr("audiosae.commands.info.as_model", load)
    began = time.monotonic()
    assert run("info", trained) == (130, "", "audiosae: interrupted\n")
    assert time.monotonic() - began < 10


class Attribute:
    def __set_name__(self, owner, name):
        interrupt()


def test_an_interrupt_while_a_class_is_created_is_reported(run, monkeypatch, trained):
    monkeypatch.setattr("audiosae.commands.info.as_model", lambda _: type("Created", (), {"attribute": Attribute()}))
    assert run("info", trained) == (130, "", "audiosae: interrupted\n")


def test_an_interrupt_while_standard_error_is_redirected_is_reported(run, sounds, monkeypatch):
    begin = stderr._Redirected.begin

    def interrupted(*arguments):
        begin(*arguments)
        interrupt()

    monkeypatch.setattr(stderr._Redirected, "begin", interrupted)
    assert run("inspect", sounds) == (130, "", "audiosae: interrupted\n")


LOADING = """
import sys, types
class Interrupted(types.ModuleType):
    def __getattr__(self, name):
        raise KeyboardInterrupt
sys.modules["audiosae.cli"] = Interrupted("audiosae.cli")
from audiosae.__main__ import main
main()
"""
ENDING = """
import atexit, signal, sys
atexit.register(lambda: signal.raise_signal(signal.SIGINT))
sys.argv = ["audiosae", "--version"]
from audiosae.__main__ import main
main()
"""


CREATING = LOADING.replace("raise KeyboardInterrupt", "raise RuntimeError from KeyboardInterrupt()")


@pytest.mark.parametrize(
    ("script", "status", "line"),
    [(LOADING, 130, "audiosae: interrupted\n"), (CREATING, 130, "audiosae: interrupted\n"), (ENDING, 0, "")],
)
def test_an_interrupt_while_the_program_loads_or_ends_gives_no_traceback(script, status, line):
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (status, line)


STARTING = """
import signal, sys, threading
start = threading.Thread.start
def interrupted(thread):
    start(thread)
    signal.raise_signal(signal.SIGINT)
threading.Thread.start = interrupted
from audiosae.backends import Backend
try:
    Backend().run([lambda: 1, lambda: 2])
except KeyboardInterrupt:
    print("interrupted")
"""


def test_a_process_that_is_interrupted_while_its_first_thread_starts_ends():
    found = subprocess.run(
        [sys.executable, "-c", STARTING],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
        stdin=subprocess.DEVNULL,
    )
    assert (found.returncode, found.stdout, found.stderr) == (0, "interrupted\n", "")


def call_and_interrupt():
    with Threads(1) as threads:
        for seconds in (3, 30):
            threads.submit(time.sleep, seconds)
        interrupt()


def test_an_interrupt_does_not_wait_for_the_calls_of_a_thread_pool():
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        call_and_interrupt()
    assert time.monotonic() - began < 2


def begin_file(path):
    with replacing(path) as temporary:
        temporary.write_bytes(b"part")
        path.with_suffix(".begun").touch()
        time.sleep(30)


def test_an_interrupt_ends_running_jobs_and_removes_their_temporary_files(tmp_path):
    paths = [tmp_path / "0", tmp_path / "1"]
    jobs = run_in_order(begin_file, paths, workers=2, crashed=str, weigh=lambda _: 2**21)
    timer = Timer(0.0, interrupt_after, [[path.with_suffix(".begun") for path in paths]])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        next(jobs)
    timer.join()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.begun", "1.begun"]


def interrupt_after(files):
    while not all(file.exists() for file in files):
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(
    ("name", "command", "line"),
    [
        ("render.draw_atoms", ["render", "{run}", "-o", "{out}.png"], "audiosae: interrupted"),
        ("diff.write_diff", ["diff", "{run}", "{run}", "-o", "{out}.html"], "audiosae: interrupted"),
        ("gradcheck.check_gradients", ["gradcheck"], "audiosae: interrupted"),
        ("report.write_report", ["report", "{run}", "{sounds}", "-o", "{out}.html"], CACHED),
        ("report.write_report", ["report", "{run}", "{sounds}", "-o", "{out}.html", "--cache", "none"], NOT_CACHED),
    ],
)
def test_the_message_mentions_the_cache_only_after_reading(
    run, monkeypatch, trained, sounds, tmp_path, name, command, line
):
    monkeypatch.setattr(f"audiosae.commands.{name}", interrupt)
    code, out, err = run(*(part.format(run=trained, sounds=sounds, out=tmp_path / "out") for part in command))
    assert (code, out, err.splitlines()[-1]) == (130, "", line)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (EOFError(), "cannot continue: a file, or the connection to another process, ended too early"),
        (EOFError("no data left in file"), "cannot continue: no data left in file"),
        (MemoryError(), "not enough memory; close other programs"),
    ],
)
def test_the_reason_of_an_error_is_the_true_one(run, monkeypatch, trained, error, line):
    def fail(_):
        raise error

    monkeypatch.setattr("audiosae.commands.info.as_model", fail)
    assert run("info", trained) == (1, "", f"audiosae: {line}\n")


@pytest.mark.parametrize(
    ("name", "command", "advice"),
    [
        ("export.table_rows", ["export", "{run}", "{sounds}", "-o", "{out}.csv"], "lower --workers"),
        (
            "train.fit",
            ["train", "{sounds}", "-o", "{out}"],
            "lower --hidden, lower --max-windows, use --whiten scale for very wide windows or lower --workers",
        ),
    ],
)
def test_advice_on_memory_names_only_options_of_the_command(
    run, monkeypatch, trained, sounds, tmp_path, name, command, advice
):
    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr(f"audiosae.commands.{name}", fail)
    code, _, err = run(*(part.format(run=trained, sounds=sounds, out=tmp_path / "out") for part in command))
    assert (code, err.splitlines()[-1]) == (1, f"audiosae: not enough memory; {advice}")


def test_an_option_without_a_value_refers_to_the_help_of_its_command(run, sounds):
    assert (
        run("train", sounds, "--out")[2]
        == "audiosae: Option '--out' requires an argument. (see audiosae train --help)\n"
    )


def learn(run, sounds, out, *more):
    return run("train", sounds, "-o", out, "--hidden", 4, "--epochs", 2, *more)


def test_every_picture_that_failed_is_named_and_the_others_are_drawn(run, sounds, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise InputError("no ink")

    monkeypatch.setattr("audiosae.commands.train.draw_history", fail)
    monkeypatch.setattr("audiosae.commands.train.write_model_card", fail)
    code, _, err = learn(run, sounds, tmp_path / "run")
    expected = "audiosae: the model is saved, but history.png, README.md could not be written: no ink"
    assert (code, err.splitlines()[-1]) == (1, expected)
    assert (tmp_path / "run" / "atoms.png").exists()


def test_pictures_that_an_interrupt_prevented_are_drawn_by_resume(run, sounds, tmp_path, monkeypatch):
    monkeypatch.setattr("audiosae.commands.train.draw_atoms", interrupt)
    code, _, err = learn(run, sounds, tmp_path / "run")
    expected = (
        "audiosae: interrupted; the model is saved, but not yet atoms.png, README.md; add --resume to write the rest"
    )
    assert (code, err.splitlines()[-1]) == (130, expected)
    model = (tmp_path / "run" / "model.safetensors").read_bytes()
    monkeypatch.undo()
    assert learn(run, sounds, tmp_path / "run", "--resume")[0] == 0
    assert {path.name for path in (tmp_path / "run").iterdir()} >= {"atoms.png", "README.md", "history.png"}
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == model


def test_an_interrupt_after_the_last_step_of_training_is_not_lost(run, sounds, tmp_path, monkeypatch):
    save = RunFolder.save

    def interrupted(*arguments):
        save(*arguments)
        interrupt()

    monkeypatch.setattr(RunFolder, "save", interrupted)
    code, _, err = learn(run, sounds, tmp_path / "run")
    assert (code, (tmp_path / "run" / "model.safetensors").exists()) == (130, False)
    assert err.splitlines()[-1].startswith("audiosae: interrupted; a checkpoint was saved")


@pytest.mark.parametrize("existing", [False, True])
def test_a_table_is_not_replaced_without_its_description(run, trained, sounds, tmp_path, monkeypatch, existing):
    def fail(*_):
        raise InputError("the disk is full")

    path = tmp_path / "a.csv"
    if existing:
        assert run("export", trained, sounds, "-o", path)[0] == 0
    before = contents(tmp_path)
    monkeypatch.setattr("audiosae.system.described_table.write_file", fail)
    assert run("export", trained, sounds, "-o", path, "--level", "window")[0] == 1
    assert contents(tmp_path) == before


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_files_written_together_are_all_replaced_or_none(tmp_path):
    folder = OutputFolder("trial", "facts.json", FactsFile(("trial",), Object(), ""), lambda _: [])
    (tmp_path / "a").write_text("earlier")
    with pytest.raises(FileNotFoundError), folder.replaced_together(tmp_path) as work:
        (work / "a").write_text((work / "missing").read_text())
    assert contents(tmp_path) == {"a": b"earlier"}
    with folder.replaced_together(tmp_path) as work:
        (work / "a").write_text("later")
        (work / "b").write_text("new")
    assert contents(tmp_path) == {"a": b"later", "b": b"new"}


def test_an_interrupt_while_files_are_replaced_takes_effect_after_the_last(tmp_path, monkeypatch):
    folder = OutputFolder("trial", "facts.json", FactsFile(("trial",), Object(), ""), lambda _: [])
    replace = Path.replace

    def interrupted(path, target):
        interrupt()
        return replace(path, target)

    def write():
        with folder.replaced_together(tmp_path) as work:
            (work / "a").write_text("later")
            (work / "b").write_text("new")

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write()
    assert contents(tmp_path) == {"a": b"later", "b": b"new"}


def test_the_replacement_of_an_earlier_evaluation_is_reported(run, trained, sounds, tmp_path, monkeypatch):
    monkeypatch.setattr("audiosae.commands.evaluate.LabelledFiles.read", interrupt)
    facts = {"results": [], "chance": 0.5, "model": "", "files": {"results.csv": "00"}}
    (tmp_path / "results.json").write_text(json.dumps(facts))
    code, _, err = run("evaluate", trained, sounds, "--labels", "folder", "-o", tmp_path)
    expected = f"{tmp_path} contains an earlier evaluation, which is replaced; keep it with another -o FOLDER"
    assert (code, err.splitlines()[0]) == (130, expected)
