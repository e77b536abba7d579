"""Output of the command line: any encoding, missing standard streams, tracebacks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager

import pytest

from audiosae.cli import app
from audiosae.cli.console import _Bar
from audiosae.features import rows as writing
from audiosae.features import table as tables

COMMANDS = sorted(command.name or command.callback.__name__ for command in app.registered_commands)
START = "from audiosae.cli import main; main()"


def started(*arguments, before="", **options):
    command = [sys.executable, "-c", f"{before}\n{START}", *map(str, arguments)]
    return subprocess.run(command, check=False, text=False, **options)


@pytest.mark.parametrize(
    "encoding",
    [
        {"PYTHONIOENCODING": "cp1252"},
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    ],
)
def test_characters_missing_from_the_encoding_are_escaped(sounds, tmp_path, encoding):
    shutil.copy(sounds / "tone_00.wav", tmp_path / "蛙の声.wav")
    found = started("inspect", tmp_path, env=os.environ | encoding, capture_output=True)
    assert found.returncode == 0, found.stderr
    assert b"\\u86d9" in found.stdout or "蛙".encode() in found.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no sh to close descriptors with")
@pytest.mark.parametrize("streams", ["1>&-", "2>&-", "1>&- 2>&-", "0<&- 1>&- 2>&-"])
def test_commands_run_without_standard_streams(trained, sounds, tmp_path, streams):
    out = tmp_path / "o.csv"
    (tmp_path / "in").mkdir()
    shutil.copy(sounds / "tone_00.wav", tmp_path / "in" / "new.wav")
    line = f'exec "$0" -c "{START}" "$@" {streams}'
    found = subprocess.run(
        ["/bin/sh", "-c", line, sys.executable, "export", trained, tmp_path / "in", "-o", out],
        check=False,
        capture_output=True,
    )
    assert found.returncode == 0, found.stderr
    assert len(out.read_text().splitlines()) == 2


def test_commands_run_if_the_streams_are_none(trained, tmp_path):
    before = "import sys; sys.stdout = sys.stderr = None"
    found = started("render", trained, "-o", tmp_path / "a.png", before=before, capture_output=True)
    assert (found.returncode, (tmp_path / "a.png").exists()) == (0, True)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_the_option_traceback(run, command):
    code, out, _ = run(command, "--help")
    assert code == 0
    assert "--traceback" in out


def test_a_traceback_is_shown_only_on_request(run, tmp_path, monkeypatch):
    render = ["render", tmp_path / "none", "-o", tmp_path / "a.png"]
    assert "Traceback" not in run(*render)[2]
    code, _, err = run(*render, "--traceback")
    assert (code, "Traceback (most recent call last)" in err) == (1, True)
    assert err.splitlines()[-1].startswith("audiosae: ")
    monkeypatch.setenv("AUDIOSAE_DEBUG", "1")
    assert "Traceback" in run(*render)[2]


def test_an_error_of_the_system_names_its_file(run, trained, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise PermissionError(13, "Permission denied", "/some/file")

    monkeypatch.setattr("audiosae.commands.render.draw_atoms", fail)
    _, _, err = run("render", trained, "-o", tmp_path / "a.png")
    assert err == "audiosae: cannot continue: /some/file: Permission denied\n"


@pytest.mark.parametrize("suffix", ["csv", "npz", "parquet"])
def test_a_failing_export_ends_its_bar_and_closes_and_removes_its_table(
    run, trained, sounds, tmp_path, monkeypatch, suffix
):
    closed, shown, writers = [], [], []
    monkeypatch.setattr("audiosae.cli.console.Lines", _Bar)
    monkeypatch.setattr(_Bar, "close", lambda bar: (closed.append(bar), bar._bar.stop()))
    begin = _Bar.__init__
    monkeypatch.setattr(_Bar, "__init__", lambda bar, *rest: (shown.append(bar), begin(bar, *rest))[1])
    writer = tables._WRITERS[f".{suffix}"]

    @contextmanager
    def watched(path, *rest):
        with writer(path, *rest) as write:
            try:
                yield write
            finally:
                writers.append(path)

    monkeypatch.setitem(tables._WRITERS, f".{suffix}", watched)

    def fail(*_, **__):
        yield from ()
        raise OSError(5, "Input/output error", "field.npy")

    monkeypatch.setattr(writing, "_file_blocks", fail)
    code, _, err = run("export", trained, sounds, "-o", tmp_path / f"o.{suffix}")
    assert code == 1
    assert "field.npy: Input/output error" in err  # not reported as an error of the table
    assert shown == closed
    assert len(writers) == 1
    assert list(tmp_path.iterdir()) == []


def test_json_is_one_object_in_any_encoding(sounds):
    found = started("inspect", sounds, "--json", env=os.environ | {"PYTHONIOENCODING": "ascii"}, capture_output=True)
    assert json.loads(found.stdout)["sources_ok"] == 12
