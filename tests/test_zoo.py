"""The zoo: a table of odd inputs that every command meets, and what each rightly becomes.

When an input is found that is treated wrongly, add a line to `ZOO` (and a small builder, where none makes it) with its
right outcome: all commands are then held to it. Everything lies in one folder and is read once by each command.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sys
import unicodedata
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from conftest import UNDRAWN
from signals import tone, wav_bytes, write

from audiosae import cli
from audiosae.corpus.sources import printable
from audiosae.system.files import cell

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RATE = 22050
SECONDS = 1.2345
USED, PART, SKIPPED, PASSED = "used", "partly used", "skipped", "passed over"
JOINED = "only the first 1.2 s: another recording follows"
LOWER = "a lower rate than 22050 Hz: their upper bands are empty"
SAMPLES = tone(SECONDS, RATE, level=0.0, noise=0.05)
SAMPLES[8000:14000] += tone(SECONDS, RATE, pitch=2500, noise=0.0)[8000:14000]  # what a survey finds


@dataclass(frozen=True)
class Beast:
    """One input.

    Attributes
    ----------
    file
        Where it lies in the folder; as bytes where it is no text.
    make
        Writes it to a path.
    outcome
        `USED`, `PART`, `SKIPPED` or `PASSED`.
    reason
        How its reason begins.
    seconds
        Length of what is used, right to a millisecond (to 40 of a part, whose header lies).
    inspected
        What inspect, which reads headers only, can know of an input that is skipped: its reason, or "".
    remark
        Of an input that is used.
    encoded
        Outcome in export, evaluate and survey, where it is another: each file has its row there.
    """

    file: str | bytes
    make: Callable[[Path], object]
    outcome: str = USED
    reason: str = ""
    seconds: float = SECONDS
    inspected: str | None = None
    remark: str = ""
    encoded: str = ""

    @property
    def name(self) -> str:
        return printable(os.fsdecode(self.file))


# Builders: each gives a function that writes an input to a path.


def sound(samples=SAMPLES, rate=RATE, **kind):
    return lambda path: write(path, samples, rate, **kind)


def content(what):
    return lambda path: path.write_bytes(what)


def changed(change, samples=SAMPLES, rate=RATE, **kind):
    """A good recording, and then its bytes changed."""
    return lambda path: path.write_bytes(change(write(path, samples, rate, **kind).read_bytes()))


def wav(samples=SAMPLES, **options):
    return content(wav_bytes(samples, RATE, **options))


def twice(found):
    return found + found


def cut(found):
    return found[: len(found) * 5 // 8]


def cut_to(share):
    return lambda found: found[: int(len(found) * share)]


def at(place, what):
    return lambda found: found[:place] + what + found[place + len(what) :]


def flac_of_unknown_length(found):
    return found[:21] + bytes([found[21] & 0xF0]) + bytes(4) + found[26:]


def streamed(found):
    return at(40, b"\xff" * 4)(at(4, b"\xff" * 4)(found))


def spoilt(value):
    samples = SAMPLES.copy()
    samples[RATE // 2] = value
    return wav(samples, floats=True)


def channels(*signs):
    return np.stack([sign * SAMPLES for sign in signs], axis=1)


def link(target):
    return lambda path: path.symlink_to(target)


def unreadable(path):
    write(path, SAMPLES, RATE).chmod(0)


OPUS, AS_OPUS = (tone(1.25, 24000), 24000), {"format": "OGG", "subtype": "OPUS"}
LONG = tone(8.0, RATE, noise=0.1)  # more than a page of Ogg
GSM_SECONDS = 320 * 86 / RATE  # whole blocks, and one more that libsndfile ends with

# One line each: the file, how it is made, what becomes of it, with which reason, and of what length.
ZOO = [
    # ordinary, in every container
    Beast("plain.wav", sound()),
    Beast("plain.flac", sound()),
    Beast("plain.ogg", sound()),
    Beast("plain.opus", sound(*OPUS, **AS_OPUS), seconds=1.25),
    Beast("plain.mp3", sound()),
    Beast("plain.aiff", sound()),
    Beast("plain.au", sound()),
    Beast("plain.caf", sound()),
    Beast("plain.w64", sound()),
    Beast("plain.rf64", sound(format="RF64")),
    Beast("plain.voc", sound()),
    Beast("UPPER.WAV", sound()),
    Beast("loud.wav", sound(1e5 * SAMPLES, subtype="FLOAT")),
    Beast("gsm.wav", sound(tone(320 * 85 / RATE, RATE), subtype="GSM610"), seconds=GSM_SECONDS),
    Beast("six-channels.wav", sound(channels(1, 0.5, 0.2, 0.1, 1, 0.3))),
    Beast("sixty-channels.wav", sound(channels(*[1, 0.5] * 30))),
    Beast("higher-rate.wav", sound(tone(1.5, 48000), 48000), seconds=1.5),
    Beast("eight-kilohertz.wav", sound(tone(1.5, 8000), 8000), seconds=1.5, remark=LOWER),
    Beast("offset.wav", sound(0.2 * SAMPLES + 0.5)),
    # headers that do not tell the truth
    Beast("unknown-length.flac", changed(flac_of_unknown_length)),
    Beast("size-zero.wav", wav(claimed=0)),
    Beast("size-wrapped.wav", wav(claimed=4000)),
    Beast("size-too-large.wav", wav(claimed=50_000), PART, "truncated at 1.2 s"),
    Beast("streamed.wav", changed(streamed)),
    Beast("trailing-chunks.wav", changed(lambda found: found + b"LIST\x04\0\0\0INFO" + b"id3 \x03\0\0\0abc\0")),
    Beast("trailing-tag.wav", changed(lambda found: found + b"TAG" + bytes(125))),
    # joined end to end
    *(
        Beast(f"joined.{suffix}", changed(twice), PART, JOINED)
        for suffix in ("wav", "aiff", "au", "caf", "rf64", "flac", "ogg", "mp3")
    ),
    Beast("joined.opus", changed(twice, *OPUS, **AS_OPUS), PART, JOINED, 1.25),
    # cut
    *(
        Beast(f"cut.{suffix}", changed(cut), PART, "truncated at 0.", seconds)
        for suffix, seconds in (
            ("wav", 0.77),
            ("aiff", 0.77),
            ("au", 0.77),
            ("caf", 0.77),
            ("w64", 0.77),
            ("rf64", 0.77),
            ("voc", 0.77),
            ("flac", 0.743),
            ("mp3", 0.738),
        )
    ),
    Beast("cut.ogg", changed(cut, LONG), PART, "truncated at 4.", 4.139),
    Beast("cut.opus", changed(cut, LONG[::2], 12000, **AS_OPUS), PART, "truncated at ", 3.974, remark=LOWER),
    Beast("cut-early.ogg", changed(cut), SKIPPED, "no samples: truncated before the first", inspected="empty: no rows"),
    Beast("cut-in-header.wav", changed(cut_to(0.0006)), SKIPPED, "undecodable: ", inspected="undecodable: "),
    # nothing in it
    Beast("zero-bytes.wav", content(b""), SKIPPED, "empty: zero bytes", inspected="empty: zero bytes"),
    Beast("zero-frames.wav", sound(SAMPLES[:0]), SKIPPED, "no samples: zero frames", inspected="empty: no rows"),
    Beast(
        "too-short.wav",
        sound(SAMPLES[:1000]),
        SKIPPED,
        "shorter than a window",
        1000 / RATE,
        "shorter than a window",
        "",
        USED,
    ),
    Beast("not-a-number.wav", spoilt(np.nan), SKIPPED, "NaN or infinite samples: the first at 0.5 s", inspected=""),
    Beast("infinite.wav", spoilt(np.inf), SKIPPED, "NaN or infinite samples: the first at 0.5 s", inspected=""),
    Beast("silent.wav", sound(0 * SAMPLES), SKIPPED, "silent: every sample is the same", inspected=""),
    Beast("cancelling.wav", sound(channels(1, -1)), SKIPPED, "channels cancel: ", inspected=""),
    Beast("text.wav", content(b"no sound\n" * 40), SKIPPED, "undecodable: ", inspected="undecodable: "),
    Beast("picture.wav", content(b"\x89PNG\r\n\x1a\n" + bytes(900)), SKIPPED, "undecodable: ", inspected="undecodable"),
    Beast("unreadable.wav", unreadable, SKIPPED, "unreadable: Permission", inspected="unreadable: Permission"),
    Beast("dangling.wav", link("gone.wav"), SKIPPED, "unreadable: No such file", inspected="unreadable: No such file"),
    # not meant
    Beast("._plain.wav", content(b"\0\x05\x16\x07" + bytes(100)), PASSED),
    Beast(".hidden/a.wav", sound(), PASSED),
    Beast(".Trash-1000/files/a.wav", sound(), PASSED),
    Beast("$RECYCLE.BIN/a.wav", sound(), PASSED),
    Beast("notes.txt", content(b"no sound"), PASSED),
    # places and names
    Beast("folder.wav/inside.wav", wav()),
    Beast("link.wav", link("plain.wav")),  # a second name: its row in a table of labels is its own
    Beast("again", link("."), PASSED),  # what it leads to is listed already
    Beast("録音\u3000一.wav", wav()),
    Beast("thin\u202fspace\u200d.wav", wav()),
    Beast(unicodedata.normalize("NFD", "Grünspecht.wav"), wav()),
    Beast("line\nbreak.wav", wav()),
    Beast(b"caf\xe9.wav", wav()),
    Beast("'single' \"double\".wav", wav()),
    Beast("=1+1.wav", wav()),
    Beast("comma, semicolon;.wav", wav()),
    Beast(" blanks .wav", wav()),
    Beast("percent%20<b>&amp;.wav", wav()),
]
THERE = [beast for beast in ZOO if beast.outcome != PASSED]


def command(*arguments):
    """Run the command line in this process; gives its JSON and what it tells on standard error."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["audiosae", *map(str, arguments), "--json"])
        with pytest.raises(SystemExit) as stop:
            cli.main()
    assert stop.value.code == 0, err.getvalue()
    return json.loads(out.getvalue()), err.getvalue()


@dataclass(frozen=True)
class Found:
    """What a command made of the zoo: its JSON, its messages, and (status, reason, seconds) by name."""

    facts: dict
    told: str
    files: dict


def rows_of(path):
    """The rows of a table, with the names of files as they are, where a spreadsheet would compute them."""
    names = {cell(beast.name): beast.name for beast in THERE}
    with path.open(encoding="utf-8", newline="") as file:
        return [row | {"file": names.get(row["file"], row["file"])} for row in csv.DictReader(file)]


def from_table(facts, told, lengths):
    """What a command says whose table has the used files: their lengths, and from its JSON the reasons."""
    parts = {row["file"]: row["reason"] for row in facts["in_part"]}
    files = {file: (USED, parts.get(file, ""), length) for file, length in lengths}
    skipped = {row["file"]: (SKIPPED, row["reason"], 0.0) for row in facts["skipped"]}
    assert not files.keys() & skipped.keys()
    return Found(facts, told, files | skipped)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo")
    for beast in ZOO:
        path = folder / os.fsdecode(beast.file)
        path.parent.mkdir(parents=True, exist_ok=True)
        beast.make(path)
    return folder


@pytest.fixture(scope="module")
def found(zoo, cache, tmp_path_factory):
    """What each command made of it; one model is trained."""
    out, here = tmp_path_factory.mktemp("out"), ("--cache", cache, "--workers", 1)
    labels = out / "labels.csv"
    with labels.open("w", encoding="utf-8", newline="") as file:
        names = [(cell(beast.name), "ab"[number % 2]) for number, beast in enumerate(THERE)]
        csv.writer(file).writerows([("filename", "label"), *names])
    facts, told = command("inspect", zoo)
    files = {
        file["file"]: (file["status"].replace("ok", USED), file["reason"], file["extent"]) for file in facts["files"]
    }
    results = {"inspect": Found(facts, told, files)}
    run = out / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(*UNDRAWN)
        facts, told = command("train", zoo, "-o", run, "--hidden", 4, "--epochs", 1, *here)
    files = {row["file"]: (row["status"], row["reason"], float(row["seconds"])) for row in rows_of(run / "journal.csv")}
    results["train"] = Found(facts, told, files)
    facts, told = command("export", run, zoo, "-o", out / "files.csv", *here)
    lengths = [(row["file"], float(row["duration"])) for row in rows_of(out / "files.csv")]
    results["export files"] = from_table(facts, told, lengths)
    facts, told = command("export", run, zoo, "-o", out / "windows.csv", "--level", "window", *here)
    results["export windows"] = from_table(
        facts, told, {row["file"]: None for row in rows_of(out / "windows.csv")}.items()
    )
    facts, told = command("evaluate", run, zoo, "--labels", labels, "--baselines", "none", "-o", out / "scores", *here)
    lengths = [(row["file"], None) for row in rows_of(out / "scores/predictions.csv")]
    results["evaluate"] = from_table(facts, told, lengths)
    facts, told = command("report", run, zoo, "-o", out / "page.html", "--labels", labels, "--top", 2, *here)
    results["report"] = Found(facts, told, {})
    facts, told = command("survey", run, zoo, "-o", out / "survey", "--types", 2, *here)
    results["survey"] = Found(facts, told, {row["file"]: () for row in rows_of(out / "survey/events.csv")})
    return results


@pytest.fixture(params=ZOO, ids=lambda beast: beast.name.encode("unicode_escape").decode())
def beast(request):
    if request.param.make is unreadable and os.geteuid() == 0:
        pytest.skip("root may read everything")
    return request.param


def as_told_by(beast, name):
    """The line of the table as it is for one command."""
    encoded = beast.encoded if name.startswith(("export", "evaluate", "survey")) else ""
    return replace(beast, outcome=encoded, reason="") if encoded else beast


def check(beast, files, *, reason):
    """Compare what was found with the table; `reason` tells what one begins with."""
    if beast.outcome == PASSED:
        assert beast.name not in files
        return
    status, why, seconds = files[beast.name]
    assert status == (SKIPPED if beast.outcome == SKIPPED else USED)
    assert why.startswith(reason)
    assert bool(why) == bool(reason)
    if seconds is not None and beast.outcome != SKIPPED:
        lossy = beast.name.endswith((".ogg", ".opus", ".mp3"))  # where the last whole page lies, the encoder decides
        bound = 0.001 if beast.outcome == USED else 0.5 if lossy else 0.04
        assert seconds == pytest.approx(beast.seconds, abs=bound)


def test_inspect_tells_what_headers_tell(found, beast):
    files = found["inspect"].files
    if beast.outcome == PART or beast.inspected == "":  # a header does not show it
        assert files[beast.name][:2] == (USED, "")
    else:
        check(beast, files, reason=beast.inspected or "")


@pytest.mark.parametrize("name", ["train", "export files", "export windows", "evaluate"])
def test_every_command_makes_the_same_of_it(found, beast, name):
    beast = as_told_by(beast, name)
    check(beast, found[name].files, reason=beast.reason)


@pytest.mark.parametrize("name", ["train", "export files", "export windows", "evaluate", "report", "survey"])
def test_json_tells_what_was_skipped_and_what_was_used_in_part(found, beast, name):
    facts, beast = found[name].facts, as_told_by(beast, name)
    for key, outcome in (("skipped", SKIPPED), ("in_part", PART)):
        reasons = {row["file"]: row["reason"] for row in facts[key]}
        assert (beast.name in reasons) == (beast.outcome == outcome)
        assert reasons.get(beast.name, "").startswith(beast.reason if beast.outcome == outcome else "")
    remarks = {row["file"]: row["remark"] for row in facts["remarks"]}
    assert remarks.get(beast.name, "") == beast.remark


@pytest.mark.parametrize("name", ["train", "export files", "export windows", "evaluate", "report", "survey"])
def test_the_zoo_is_counted(found, name):
    facts, outcomes = found[name].facts, [as_told_by(beast, name).outcome for beast in THERE]
    wrong = os.geteuid() == 0  # root reads what is unreadable
    assert facts["sources_used"] == outcomes.count(USED) + outcomes.count(PART) + wrong
    assert facts["sources_skipped"] == outcomes.count(SKIPPED) - wrong


def test_no_command_meets_what_is_not_in_the_table(found):
    for result in found.values():
        assert result.files.keys() <= {beast.name for beast in THERE}


def test_the_rate_is_that_of_most(found):
    lower = {file["file"]: file["remark"] for file in found["inspect"].facts["files"] if file["remark"]}
    assert lower == {beast.name: beast.remark for beast in ZOO if beast.remark}


@pytest.mark.parametrize("name", ["train", "export files", "evaluate", "report", "survey"])
def test_a_lower_rate_and_parts_are_told_in_a_line_each(found, name):
    assert re.search(rf"^2 of \d+ sources have {LOWER}: cut.opus, eight-kilohertz.wav$", found[name].told, re.MULTILINE)
    parts = sum(beast.outcome == PART for beast in ZOO)
    assert f"\nused as far as they can be decoded, {parts} of " in found[name].told
