"""The command open: a server of a survey on this computer, its sounds, tables and search, and what it refuses."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlencode

import numpy as np
import pytest
import soundfile
from conftest import RATE, once
from pages import block, serious_faults

import audiosae
from audiosae.commands.open import _add_search
from audiosae.commands.opened_survey import read_survey, survey_model
from audiosae.commands.shared_options import Machine
from audiosae.commands.survey_folder import check_folder
from audiosae.commands.survey_server import SurveyServer
from audiosae.commands.survey_sources import FILE as SOURCES
from audiosae.commands.survey_sources import content_digest, find_recordings
from audiosae.system.locks import lock_folder
from audiosae.system.progress import Notes

NAME, LONG = "tone_00.wav", "tone_11.wav"  # the shortest and the longest
BEGIN = datetime.fromisoformat("2024-06-01T05:00:00")


class Client:
    """Requests to a server, with a host and a path of the test's choice."""

    def __init__(self, port, token):
        self.port, self.token = port, token

    def ask(self, name, method="GET", body=None, *, path=None, **headers):
        """Return status, headers and body of the answer; `path` replaces the path with the token."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        head = {name.replace("_", "-"): text for name, text in headers.items()}
        connection.request(method, f"/{self.token}/{name}" if path is None else path, body, head)
        answer = connection.getresponse()
        content = answer.status, dict(answer.getheaders()), answer.read()
        connection.close()
        return content

    def json(self, name, method="GET", body=None, **headers):
        status, _, content = self.ask(name, method, body, **headers)
        assert status == 200, content
        return json.loads(content)


def part(name=NAME, start=0.2, end=0.3):
    return urlencode({"recording": name, "start": start, "end": end})


@pytest.fixture(scope="module")
def surveyed(trained, sounds, cache, tmp_path_factory):
    folder = tmp_path_factory.mktemp("opened") / "found"
    once(["survey", trained, sounds, "-o", folder, "--types", "2", "--events", "csv", "--cache", cache, "-q"])
    return folder


@pytest.fixture(scope="module")
def served(surveyed, cache):
    """A running server of a survey, with a client."""
    survey, notes = read_survey(surveyed, []), Notes()
    for name, recording in survey.recordings.items():
        survey.recordings[name] = replace(recording, time=BEGIN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUDIOSAE_CACHE", str(cache))
        with ExitStack() as stack:
            _add_search(survey, survey_model(survey, None), Machine(), stack, notes)
            server = SurveyServer(survey, [0], notes.say)
            threading.Thread(target=server.run, daemon=True).start()
            application = server.application
            yield SimpleNamespace(
                folder=surveyed,
                client=Client(application.port, application.token),
                survey=survey,
                start=application.start_address.partition(str(application.port))[2],
            )
            server._server.close()


def rows(folder):
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def table(own):
    text = io.StringIO()
    writer = csv.DictWriter(text, list(own[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(own)
    return text.getvalue().encode()


def test_the_page_is_served_with_the_labels_as_they_are_now(served, tmp_path):
    status, headers, content = served.client.ask("")
    (tmp_path / "page.html").write_bytes(content)
    facts = block(tmp_path / "page.html", "server")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert [row[0] for row in facts["labels"]["rows"]] == [int(row["event"]) for row in rows(served.folder)]
    assert (facts["missing"], facts["no_search"]) == ({}, "")
    assert b"connect-src 'self'" in content
    assert b"connect-src" not in (served.folder / "index.html").read_bytes(), "the file makes no requests"


def test_a_survey_that_was_replaced_meanwhile_is_not_served(served, monkeypatch):
    monkeypatch.setattr(served.survey, "written", 1)
    status, _, content = served.client.ask("")
    assert (status, b"start audiosae open again" in content) == (400, True)


def test_a_sound_is_cut_from_its_recording_and_answers_range_requests(served, sounds):
    status, headers, whole = served.client.ask(f"sound?{part(LONG)}")
    assert (status, headers["Accept-Ranges"], headers["Content-Type"]) == (200, "bytes", "audio/wav")
    facts = served.client.json(f"excerpt?{part(LONG)}")
    assert facts == {"from": 0.0, "to": pytest.approx(0.55), "slowed": 1, "highest": RATE / 2}
    samples, rate = soundfile.read(io.BytesIO(whole))
    source = soundfile.read(sounds / LONG, stop=round(0.55 * RATE))[0]
    assert rate == RATE
    np.testing.assert_allclose(samples, source * (np.abs(samples).max() / np.abs(source).max()), atol=1e-4)
    for asked, expected in {"bytes=10-19": whole[10:20], "bytes=-7": whole[-7:], "bytes=5-": whole[5:]}.items():
        status, headers, content = served.client.ask(f"sound?{part(LONG)}", Range=asked)
        assert (status, content) == (206, expected), asked
        assert headers["Content-Range"].endswith(f"/{len(whole)}")
    assert served.client.ask(f"sound?{part(LONG)}", Range=f"bytes={len(whole)}-")[0] == 416
    assert served.client.ask(f"sound?{part(LONG)}", Range="bytes=0-1,4-5")[0::2] == (200, whole)
    assert served.client.ask(f"sound?{part(LONG)}", "HEAD")[0::2] == (200, b"")


def test_a_recording_that_was_replaced_or_removed_is_neither_played_nor_searched(served, sounds, tmp_path, monkeypatch):
    path, before = Path(shutil.copy(sounds / NAME, tmp_path)), (sounds / NAME).read_bytes()
    monkeypatch.setitem(served.survey.recordings, NAME, replace(served.survey.recordings[NAME], path=path))
    assert served.client.ask(f"sound?{part()}")[0] == 200
    status = path.stat()
    path.write_bytes(before[:-2000] + bytes(2000))  # as long as before
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    search = json.dumps({"like": [{"recording": LONG, "start": 0.1, "end": 0.4}]})
    for ask in [(f"sound?{part()}",), (f"excerpt?{part()}",), ("search", "POST", search)]:
        status, _, content = served.client.ask(*ask)
        assert (status, b"tone_00.wav is not the recording that was surveyed any more" in content) == (410, True)
        assert content.count(b"\n") == 1
    path.write_bytes(before)
    assert served.client.ask(f"sound?{part()}")[0] == 200, "only the times differ"
    path.unlink()
    status, _, content = served.client.ask("search", "POST", search)
    assert (status, b"(No such file or directory); restore it" in content) == (410, True)


def test_a_survey_folder_that_cannot_be_read_is_reported_in_one_line(served, labels):
    own, version = labels
    (path := served.folder / "labels.csv").unlink()
    path.mkdir()
    put = "labels.csv", "PUT", table(own)
    answers = [served.client.ask(""), served.client.ask(*put, If_Match=f'"{version}"')]
    path.rmdir()
    moved = served.folder.rename(served.folder.with_name("moved"))
    answers += [served.client.ask(""), served.client.ask(*put, If_Match=f'"{version}"'), served.client.ask("types.csv")]
    moved.rename(served.folder)
    assert [status for status, _, _ in answers] == [400, 400, 400, 400, 404]
    assert all(b"cannot" in content and content.count(b"\n") == 1 for _, _, content in answers[:4]), answers


def test_ultrasound_is_slowed_down(served, monkeypatch, tmp_path):
    soundfile.write(tmp_path / NAME, np.random.default_rng(0).normal(0, 0.1, 48000), 192_000)
    recording = served.survey.recordings["tone_01.wav"]
    content = content_digest(tmp_path / NAME)
    other = replace(recording, path=tmp_path / NAME, content=content)
    monkeypatch.setitem(served.survey.recordings, "tone_01.wav", other)
    assert served.client.json(f"excerpt?{part('tone_01.wav')}") == {
        "from": 0.0,
        "to": 0.25,
        "slowed": 10,
        "highest": 9600,
    }
    samples, rate = soundfile.read(io.BytesIO(served.client.ask(f"sound?{part('tone_01.wav')}")[2]))
    assert len(samples) / rate == pytest.approx(2.5, abs=0.1)


@pytest.mark.parametrize(("start", "end"), [(-1, 1), (2, 1), ("nan", 1), (0, "inf"), (50, 51), ("x", 1)])
def test_times_that_are_not_in_the_recording_are_refused_in_one_line(served, start, end):
    status, _, content = served.client.ask(f"sound?{part(NAME, start, end)}")
    assert (status, content.count(b"\n")) == (400, 1)


@pytest.mark.parametrize(("name", "method"), [("", "GET"), (f"sound?{part()}", "GET"), ("labels.csv", "PUT")])
def test_other_tokens_hosts_and_origins_are_refused(served, name, method):
    client, before = served.client, (served.folder / "labels.csv").read_bytes()
    body, port = b"event,file,start,end,type,label,answer\n" if method == "PUT" else None, served.client.port
    refused = [
        client.ask(name, method, body, path=f"/{'x' * 32}/{name}"),
        client.ask(name, method, body, path=f"/{name}"),
        client.ask(name, method, body, path=f"/{client.token[:-1]}/{name}"),
        client.ask(name, method, body, path=f"/start/{client.token}"),
        client.ask(name, method, body, Host=f"attacker.example:{port}"),
        client.ask(name, method, body, Host="127.0.0.1"),
        client.ask(name, method, body, Origin="http://attacker.example"),
        client.ask(name, method, body, Origin=f"http://127.0.0.1:{port + 1}"),
        client.ask(name, method, body, Origin="null"),
        client.ask(name, method, body, Sec_Fetch_Site="cross-site"),
    ]
    assert [answer[0] for answer in refused] == [403] * len(refused)
    assert (served.folder / "labels.csv").read_bytes() == before
    assert client.ask("", Origin=f"http://127.0.0.1:{port}", Sec_Fetch_Site="same-origin")[0] == 200
    assert client.ask("", Host=f"localhost:{port}")[0] == 200


def test_the_address_that_a_browser_is_given_leads_to_the_page_once(served):
    status, headers, _ = served.client.ask("", path=served.start)
    assert (status, headers["Location"]) == (302, f"/{served.client.token}/")
    assert served.client.ask("", path=served.start)[0] == 403


def test_only_files_of_the_survey_are_served(served, tmp_path):
    client, secret = served.client, served.folder.parent / "secret.csv"
    secret.write_text("secret")
    (served.folder / "mine.csv").write_text("secret")
    (served.folder / "linked.csv").symlink_to(secret)
    served.survey.facts["files"]["linked.csv"] = "0"
    paths = ["../secret.csv", "%2e%2e/secret.csv", "..%2fsecret.csv", "..\\secret.csv", str(secret), "%00", "mine.csv"]
    paths += ["linked.csv", "survey.json", "sources.json/", "types.csv/..", ".lock", "//etc/passwd", NAME]
    try:
        assert {path: client.ask(path)[0] for path in paths} == dict.fromkeys(paths, 404)
        names = ["../secret.csv", str(secret), "/etc/passwd", "tone_00.wav/../tone_01.wav", ""]
        assert {name: client.ask(f"sound?{part(name)}")[0] for name in names} == dict.fromkeys(names, 404)
    finally:
        del served.survey.facts["files"]["linked.csv"]
        for name in ("mine.csv", "linked.csv"):
            (served.folder / name).unlink()
    status, headers, content = client.ask("types.csv")
    assert (status, content) == (200, (served.folder / "types.csv").read_bytes())
    assert headers["Content-Security-Policy"].startswith("sandbox")
    assert client.ask("types.csv", "DELETE")[0] == 405


def test_twenty_clients_are_answered_at_once(served):
    names = sorted(served.survey.recordings)
    alone = {name: served.client.ask(f"sound?{part(name)}")[2] for name in names}
    served.survey.cutter._kept.clear()

    def client(number):
        answers = [served.client.ask(f"sound?{part(name)}") for name in names[number % 3 :: 3]]
        return [(status, content) for status, _, content in answers]

    with ThreadPoolExecutor(20) as pool:
        for number, answers in enumerate(pool.map(client, range(20))):
            assert answers == [(200, alone[name]) for name in names[number % 3 :: 3]]


@pytest.fixture
def labels(served):
    """The rows of labels.csv and its version; the table is restored after the test."""
    path = served.folder / "labels.csv"
    before = path.read_bytes()
    yield rows(served.folder), served.survey.tables.labels()["version"]
    path.write_bytes(before)


def test_labels_are_saved_in_place_and_rows_of_other_sounds_stay(served, labels):
    own, version = labels
    answer = served.client.json(
        "labels.csv", "PUT", table([own[0] | {"label": "wren", "type": "3"}]), If_Match=f'"{version}"'
    )
    saved = rows(served.folder)
    assert saved == [own[0] | {"label": "wren", "type": "3"}, *own[1:]]
    assert answer["version"] == served.survey.tables.labels()["version"] != version
    again = served.client.json("labels.csv", "PUT", table(own), If_Match=f'"{answer["version"]}"')
    assert rows(served.folder) == own
    assert again["version"] == version


def test_the_page_without_a_server_has_what_was_saved(served, labels):
    own, version = labels
    text = (served.folder / "index.html").read_text()
    row = own[1] | {"label": "wren", "type": "3"}
    saved = served.client.json("labels.csv", "PUT", table([row]), If_Match=f'"{version}"')
    since = block(served.folder / "index.html", "since")
    assert since["labels"] == {"version": saved["version"], "rows": [[int(row["event"]), 3, "wren", ""]]}
    assert read_survey(served.folder, []).page.text == served.survey.page.text
    check_folder(served.folder, [], served.folder / "labels.csv")  # survey may replace the page
    (served.folder / "index.html").write_text(text.replace("Sounds", "Noises"))
    again = served.client.json("labels.csv", "PUT", table(own), If_Match=f'"{saved["version"]}"')
    assert again["note"] == "index.html was changed or removed, so it does not have these labels"
    assert rows(served.folder) == own
    (served.folder / "index.html").write_text(text)


def test_a_table_that_was_changed_meanwhile_is_not_overwritten(served, labels, tmp_path):
    own, version = labels
    path = served.folder / "labels.csv"
    mine = table([own[0] | {"label": "mine"}])
    theirs = table([own[0] | {"label": "theirs"}, *own[1:]])
    path.write_bytes(theirs)
    status, _, content = served.client.ask("labels.csv", "PUT", mine, If_Match=f'"{version}"')
    assert (status, path.read_bytes()) == (409, theirs)
    assert b"labels.csv was changed by another program or page" in content
    assert served.client.ask("labels.csv", "PUT", mine)[0] == 409, "without a version"
    with lock_folder(served.folder):
        now = served.survey.tables.labels()["version"]
        status, _, content = served.client.ask("labels.csv", "PUT", mine, If_Match=f'"{now}"')
    assert (status, b"a survey is writing" in content) == (409, True)
    assert path.read_bytes() == theirs


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": "maybe"}, "labels.csv: line 2: answer is 'maybe'"),
        ({"label": "x" * 201}, "at most 200 characters"),
        ({"event": ""}, "labels.csv: wanted the labels.csv of a survey, with the number of every event"),
        ({"file": "other.wav"}, "they are of different surveys"),
        ({"end": "9"}, "they are of different surveys"),
        ({"event": "99999"}, "event 99999 of this page is not a sound of this survey"),
        ({"type": "4"}, "type 4 of this page is not one of labels.csv, which has 2 types"),
        ({"type": "1.5"}, "labels.csv: line 2: type is '1.5'; wanted a whole number"),
    ],
)
def test_rows_that_are_not_valid_are_refused_in_one_line(served, labels, change, message):
    own, version = labels
    before = (served.folder / "labels.csv").read_bytes()
    status, _, content = served.client.ask("labels.csv", "PUT", table([own[0] | change]), If_Match=f'"{version}"')
    assert (status, message in content.decode(), content.count(b"\n")) == (400, True, 1), content
    assert b"--" not in content, "no options of the command line"
    assert (served.folder / "labels.csv").read_bytes() == before


def test_a_full_disk_leaves_the_old_table(served, labels, monkeypatch):
    own, version = labels

    def full(_):
        raise OSError(28, "No space left on device")

    before = (served.folder / "labels.csv").read_bytes()
    monkeypatch.setattr("audiosae.system.files.os.fsync", full)
    status, _, content = served.client.ask(
        "labels.csv", "PUT", table([own[0] | {"label": "wren"}]), If_Match=f'"{version}"'
    )
    assert (status, b"No space left on device" in content) == (400, True)
    assert (served.folder / "labels.csv").read_bytes() == before
    assert [*served.folder.glob("*.tmp")] == []


def test_names_are_saved_and_those_of_another_survey_are_kept(served):
    path = served.folder / "names.csv"
    try:
        types = served.survey.page.types
        named = f'type,name,survey\n1,"a tone",{types}\n'.encode()
        version = served.client.json("names.csv", "PUT", named, If_Match='""')["version"]
        assert served.survey.tables.names() == {"version": version, "of": {1: "a tone"}, "types": types}
        unknown = named.replace(b"1,", b"9,")
        assert served.client.ask("names.csv", "PUT", unknown, If_Match=f'"{version}"')[0] == 400
        other = b'type,name,survey\n1,"b",def\n'
        assert served.client.ask("names.csv", "PUT", other, If_Match=f'"{version}"')[0] == 400
        path.write_bytes(other)
        version = served.survey.tables.names()["version"]
        assert served.client.ask("names.csv", "PUT", named, If_Match=f'"{version}"')[0] == 409
        none = served.client.json("names.csv", "PUT", b"type,name,survey\n", If_Match=f'"{version}"')
        assert served.survey.tables.names() == {"version": none["version"], "of": {}, "types": ""}
    finally:
        path.unlink()


def test_a_search_gives_what_find_gives(served, trained, sounds, cache):
    like = {"recording": NAME, "start": 0.1, "end": 0.4}
    unlike = {"recording": "tone_01.wav", "start": 0.1, "end": 0.4}
    request = json.dumps({"like": [like], "unlike": [unlike], "count": 5})
    answer = served.client.json("search", "POST", request)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("audiosae.sounds.search.locate", lambda *_, **__: pytest.fail("it is known"))
        patch.setattr("audiosae.sounds.search._remarks", lambda *_: [])
        assert served.client.json("search", "POST", request) == answer | {"notes": []}
    expected = audiosae.find(
        trained, sounds, f"{sounds / NAME}@0.1-0.4", unlike=f"{sounds / 'tone_01.wav'}@0.1-0.4", count=5, cache=cache
    )
    shown = [(each["recording"], each["start"], each["end"]) for each in answer["stretches"]]
    events = expected.events
    names = [Path(expected.records[i].path).name for i in events.record]
    assert shown == list(zip(names, events.start.tolist(), events.end.tolist(), strict=True))
    assert [each["similarity"] for each in answer["items"]["matches"]] == expected.similarity.tolist()
    assert [each["liked"] for each in answer["items"]["examples"]] == [True, False]
    times = [str(BEGIN + timedelta(seconds=start))[:19] for _, start, _ in shown]
    assert [each["time"] for each in answer["items"]["matches"]] == times
    assert all(piece["image"] and piece["sound"] for piece in answer["pieces"])


def test_a_search_for_a_very_short_sound_compares_what_is_around_it(served):
    like = {"recording": LONG, "start": 0.3, "end": 0.303, "low": 500, "high": 3000}
    answer = served.client.json("search", "POST", json.dumps({"like": [like], "count": 1}))
    (example,) = answer["items"]["examples"]
    assert (example["from"], example["to"]) == ([pytest.approx(0.2965)], [pytest.approx(0.3065)])
    assert len(answer["items"]["matches"]) == 1


def test_one_limit_of_the_frequencies_is_used(served):
    like = {"recording": LONG, "start": 0.2, "end": 0.4, "low": 900, "high": None}
    answer = served.client.json("search", "POST", json.dumps({"like": [like], "count": 1}))
    shown = [each["hz"] for each in answer["items"]["examples"]]
    assert shown == [f"900 to {RATE // 2:,} Hz"]


@pytest.mark.parametrize(
    "request_text",
    [
        "[",
        '{"like": []}',
        '{"like": [{"recording": "../x.wav", "start": 0, "end": 1}]}',
        '{"like": [{"recording": "tone_00.wav", "start": 1, "end": 0}]}',
        '{"like": [{"recording": "tone_00.wav", "start": 0, "end": 1, "low": 9, "high": 8}]}',
        '{"like": [{"recording": "tone_00.wav", "start": 0, "end": 1e999}]}',
    ],
)
def test_a_search_that_is_not_valid_is_refused_in_one_line(served, request_text):
    status, _, content = served.client.ask("search", "POST", request_text)
    assert (status, content.count(b"\n")) == (404 if b"x.wav" in content else 400, 1)
    assert b"--" not in content, "no options of the command line"


def test_moved_recordings_are_found_in_the_folder_of_sources(surveyed, sounds, tmp_path, run):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    for number, path in enumerate(sorted(sounds.iterdir())):
        shutil.copy(path, tmp_path / "ab"[number % 2])
    facts = json.loads((surveyed / SOURCES).read_text())
    wanted = {each["file"]: tmp_path / "ab"[n % 2] / each["file"] for n, each in enumerate(facts["recordings"])}
    found = find_recordings(facts, [tmp_path], [".wav"])
    assert {name: each.path for name, each in found.items()} == wanted
    shutil.copy(tmp_path / "a" / NAME, tmp_path / "b" / NAME)
    (tmp_path / "b" / "tone_01.wav").write_bytes(b"another")
    (tmp_path / "a" / "tone_02.wav").unlink()
    code, out, _ = run("open", surveyed, "--sources", tmp_path, "--check", "--json")
    missing = {each["file"]: each["reason"] for each in json.loads(out)["missing"]}
    assert (code, [*missing]) == (0, [NAME, "tone_01.wav", "tone_02.wav"])
    assert missing[NAME] == "2 recordings of that name and size are in --sources"
    assert "has another size" in missing["tone_01.wav"]
    assert missing["tone_02.wav"] == "no recording of that name in --sources"


def test_the_end_of_the_path_decides_between_recordings_of_one_name(tmp_path):
    for name in ("x/june/a.wav", "x/july/a.wav"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"1234")
    row = {"path": None, "bytes": 4, "time": None}
    facts = {"recordings": [row | {"file": "/data/june/a.wav"}, row | {"file": "july/a.wav"}]}
    found = find_recordings(facts, [tmp_path], [".wav"])
    assert [each.path.parent.name for each in found.values()] == ["june", "july"]


def test_a_missing_recording_or_model_leaves_the_rest(surveyed, tmp_path, run):
    copy = shutil.copytree(surveyed, tmp_path / "copy")
    facts = json.loads((copy / SOURCES).read_text())
    facts["recordings"][0]["path"] = str(tmp_path / "gone.wav")
    facts["model"] = str(tmp_path / "no-run")
    (copy / SOURCES).write_text(json.dumps(facts))
    code, out, _ = run("open", copy, "--check")
    assert code == 0
    assert out.splitlines()[0] == "recordings: 11 of 12 found"
    assert "gone.wav; start audiosae open with --sources and the folder where it is now" in out
    assert "no such file or folder" in out.splitlines()[-1]
    assert out.splitlines()[-1].endswith("start audiosae open with --model and its path")


def test_folders_that_cannot_be_opened_are_refused_in_one_line(surveyed, small, tmp_path, run, monkeypatch):
    changed = shutil.copytree(surveyed, tmp_path / "changed")
    (changed / "index.html").write_text((changed / "index.html").read_text().replace("Sounds", "Noises"))
    without = shutil.copytree(surveyed, tmp_path / "without")
    (without / SOURCES).unlink()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for arguments, message in [
            ((tmp_path,), "no survey.json; wanted the folder that audiosae survey wrote"),
            ((changed,), "was changed after the survey that wrote it"),
            ((without,), "run audiosae survey again"),
            ((surveyed, "--sources", tmp_path / "no"), "no such folder"),
            ((surveyed, "--model", small), "is not the model of this survey"),
            ((surveyed, "--port", taken.getsockname()[1]), "in use; choose another port"),
        ]:
            code, _, err = run("open", *arguments, "--no-browser")
            assert (code, message in err, len(err.splitlines()[-1:])) == (1, True, 1), (arguments, err)
    monkeypatch.setattr("audiosae.commands.open.find_spec", lambda name: None)
    code, _, err = run("open", surveyed)
    assert (code, err) == (1, "audiosae: open needs waitress: pip install 'audiosae[app]'\n")


class Process:
    """`audiosae open` in a process of its own."""

    def __init__(self, folder, before=""):
        code = f"import sys, time, os, audiosae.system.files\n{before}\nfrom audiosae.cli import main\nmain()"
        command = [sys.executable, "-c", code, "open", str(folder), "--no-browser"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.lines = []
        for line in self.process.stderr:
            self.lines.append(line)
            if line.startswith("open: "):
                break
        port, token = line.split("/")[2:4]
        self.client = Client(int(port.split(":")[1]), token)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has neither SIGKILL nor SIGINT of one process")
def test_a_killed_server_leaves_the_old_table_or_the_new_one(surveyed, tmp_path):
    folder = shutil.copytree(surveyed, tmp_path / "found")
    own, before = rows(folder), (folder / "labels.csv").read_bytes()
    hangs = "audiosae.system.files.os.fsync = lambda _: time.sleep(60)"
    killed = Process(folder, hangs)
    body = table([own[0] | {"label": "wren"}])
    version = read_survey(folder, []).tables.labels()["version"]

    def save():
        with suppress(OSError):  # the connection ends
            killed.client.ask("labels.csv", "PUT", body, If_Match=f'"{version}"')

    ask = threading.Thread(target=save)
    ask.start()
    while ask.is_alive() and not [*folder.glob("*.tmp")]:
        time.sleep(0.01)
    killed.process.kill()
    killed.process.wait()
    killed.process.stderr.close()
    ask.join()
    assert (folder / "labels.csv").read_bytes() == before
    assert len([*folder.glob("*.tmp")]) == 1
    ended = Process(folder)
    assert [*folder.glob("*.tmp")] == [], "the temporary file of the killed server is removed"
    ended.client.json("labels.csv", "PUT", body, If_Match=f'"{version}"')
    assert rows(folder)[0]["label"] == "wren"
    ended.process.send_signal(signal.SIGINT)
    assert ended.process.wait(20) == 130
    with ended.process.stderr as end:
        assert end.read() == f"audiosae: interrupted; what was saved is in {folder / 'labels.csv'}\n"


def named_in_the_file(context, page, label):
    """Return the numbers of the sounds with a label in the labels.csv that the page without a server saves."""
    tab = context.new_page()
    tab.goto(page.as_uri())
    tab.locator("#grid .caption", has_text=label).first.wait_for()
    assert "labels.csv" in tab.locator("header .note code").text_content()
    with tab.expect_download() as download:
        tab.locator("#save").click()
    own = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text(encoding="utf-8"))))
    tab.close()
    return [row["event"] for row in own if row["label"] == label]


@pytest.mark.browser
def test_the_page_plays_labels_saves_searches_and_is_accessible(served, labels, chromium):
    trouble = []
    context = chromium.new_context()
    tab = context.new_page()
    tab.on("console", lambda told: trouble.append(told.text) if told.type in {"error", "warning"} else None)
    tab.on("pageerror", lambda error: trouble.append(str(error)))
    tab.goto(f"http://127.0.0.1:{served.client.port}/{served.client.token}/")
    with tab.expect_response(lambda answer: "/sound?" in answer.url) as sound:
        tab.locator("#grid .play").first.click()
    assert sound.value.status in {200, 206}
    tab.locator("#grid .cell.playing").wait_for()
    tab.locator("#grid .pick").first.click()
    number = int(tab.locator("#grid .pick .visually-hidden").first.text_content().split()[1].strip(":"))
    tab.locator("#label").fill("wren")
    with tab.expect_response(lambda answer: answer.url.endswith("/labels.csv")):
        tab.locator("#name-them").click()
    tab.get_by_text("Saved in").wait_for()
    assert {row["event"] for row in rows(served.folder) if row["label"]} == {str(number)}
    tab.locator("#similar").click()
    tab.locator("#search-results li").first.wait_for()
    tab.locator("#search-results [data-wanted=no]").first.click()
    tab.locator("#search-again").click()
    tab.locator("#search-examples li").nth(1).wait_for()
    assert tab.locator("#search-examples p", has_text="unwanted").count() == 1
    tab.evaluate(
        "document.dispatchEvent(new CustomEvent('audiosae:box', { detail: { recording: 'tone_00.wav', start: 0.1, "
        "end: 0.4, low: 500, high: 3000 } }))"
    )
    tab.locator("#search-examples p", has_text="500 to 3,000 Hz").wait_for()
    tab.reload()
    tab.locator("#grid .caption", has_text="wren").first.wait_for()
    assert named_in_the_file(context, served.folder / "index.html", "wren") == [str(number)]
    path = served.folder / "labels.csv"
    path.write_bytes(path.read_bytes().replace(b",wren,", b",robin,"))
    tab.locator("#label").fill("owl")
    tab.locator("#name-them").click()
    tab.get_by_text("was changed by another program or page").wait_for()
    assert b"owl" not in path.read_bytes()
    trouble = [text for text in trouble if "409" not in text]
    context.close()
    context = chromium.new_context(bypass_csp=True)
    tab = context.new_page()
    tab.goto(f"http://127.0.0.1:{served.client.port}/{served.client.token}/")
    tab.locator("#similar").click()
    tab.locator("#search-results li").first.wait_for()
    assert serious_faults(tab) == []
    context.close()
    assert trouble == []
