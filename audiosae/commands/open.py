"""``audiosae open``: the page of a survey in a browser, with all sounds, saved labels and a search."""

from __future__ import annotations

import os
import threading
import webbrowser
import zlib
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Unpack

from audiosae.commands.answer import Answer
from audiosae.commands.event_options import EventSettings
from audiosae.commands.opened_survey import read_survey, survey_model
from audiosae.commands.reading import reading
from audiosae.commands.shared_options import AnyPath, Machine, MachineKeywords, ShowProgress, as_path
from audiosae.corpus.sources import Named, named_paths
from audiosae.errors import InputError, Interrupted
from audiosae.sounds.event_codes import recordings_domain
from audiosae.system.parameters import Option, command
from audiosae.system.progress import Notes

if TYPE_CHECKING:
    from typing import Any

    from audiosae.autoencoder.model import Model
    from audiosae.commands.opened_survey import OpenedSurvey
    from audiosae.sounds.sound_types import Types

_PORTS = 20000, 12000  # the first, and how many: below those that systems give to other programs
_MOST_PORT = 65535


@command(example="audiosae open found --check", declared=(Machine,))
def open(  # noqa: A001
    folder: Annotated[
        AnyPath,
        Option("Folder that audiosae survey wrote.", "Input", flags=(), metavar="FOLDER", typed=Path),
    ],
    *,
    sources: Annotated[
        Named | None,
        Option(
            "Folder that contains the recordings now, if they were moved after the survey. Can be repeated.",
            "Input",
            metavar="FOLDER",
            typed=list[Path],
            parse=lambda _, paths: paths,
            python="One or a list.",
        ),
    ] = None,
    model: Annotated[
        AnyPath | None,
        Option("Trained model of the survey, if it was moved; it is needed to search.", "Input", typed=Path),
    ] = None,
    port: Annotated[
        int | None,
        Option(
            "Port of the server.", least=1, most=_MOST_PORT, default="one that depends on the folder, if it is free"
        ),
    ] = None,
    browser: Annotated[bool, Option("Open the page in a browser.", flags=("--browser/--no-browser",))] = True,
    check: Annotated[
        bool, Option("Only check the folder, and print which recordings, labels and model were found.")
    ] = False,
    progress: ShowProgress = False,
    **options: Unpack[MachineKeywords],
) -> Answer:
    """Open the page of a survey in a browser: play any sound, save labels in place, and search by example.

    The page is served to this computer only, until Ctrl-C.

    Returns
    -------
    Answer

    Raises
    ------
    InputError
        The folder is not that of a survey, an option cannot be used, or the extra `app` is not installed.
    Interrupted
        The server was ended with Ctrl-C.
    """
    for package in ("waitress", "werkzeug"):
        if find_spec(package) is None:
            raise InputError(f"open needs {package}: pip install 'audiosae[app]'")
    path, folders = Path(folder), named_paths(sources) if sources else []
    with Notes(progress) as notes, ExitStack() as stack:
        survey = read_survey(path, folders)
        found = survey_model(survey, as_path(model))
        if isinstance(found, str):
            survey.no_search = found
        if check:
            return Answer("\n".join(survey.summary), _facts(survey))
        if not isinstance(found, str):
            _add_search(survey, found, Machine.of(options), stack, notes)
        _serve(survey, port, notes, browser=browser)
    raise Interrupted(f"what was saved is in {path / 'labels.csv'}")


def _facts(survey: OpenedSurvey) -> dict[str, Any]:
    """Return what --json prints."""
    missing = [{"file": each.file, "reason": each.fault} for each in survey.recordings.values() if each.path is None]
    rows = survey.tables.labels()["rows"]
    return {
        "folder": str(survey.folder),
        "recordings": len(survey.recordings),
        "missing": missing,
        "sounds": len(rows),
        "labelled": sum(bool(label or answer) for *_, label, answer in rows),
        "search": survey.no_search or "ready",
    }


def _add_search(
    survey: OpenedSurvey, found: tuple[Model, Types], machine: Machine, stack: ExitStack, notes: Notes
) -> None:
    """Give a survey its search; the recordings are read when the first one is made."""
    from audiosae.commands.survey_search import SurveySearch

    model, types = found
    domain = EventSettings().domain(recordings_domain(model, "open"), types)
    paths = [each.path for each in survey.recordings.values() if each.path]
    job = stack.enter_context(reading(domain, paths, machine, progress=notes))
    engine = stack.enter_context(job.engine())
    survey.search = SurveySearch(model, types, job, engine, survey.recordings, survey.checks)


def _serve(survey: OpenedSurvey, port: int | None, notes: Notes, *, browser: bool) -> None:
    """Serve a survey until Ctrl-C."""
    from audiosae.commands.survey_server import SurveyServer

    usual = _PORTS[0] + zlib.crc32(os.fsencode(survey.folder.resolve())) % _PORTS[1]
    server = SurveyServer(survey, [port] if port else [usual, 0], notes.say)
    try:
        for line in survey.summary:
            notes.say(line)
        notes.say(f"open: {server.application.address} (Ctrl-C ends)")
        if browser:
            _show(server.application.start_address)
        server.run()
    finally:
        server.close()


def _show(address: str) -> None:
    """Open an address in a browser, unless that would run in this terminal."""
    try:
        program = webbrowser.get()
    except webbrowser.Error:
        return
    if type(program) is not webbrowser.GenericBrowser or os.environ.get("BROWSER"):
        threading.Thread(target=program.open, args=(address,), daemon=True).start()
