"""A survey that is open in a browser: its page, its tables and files, its sounds, and the search in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiosae.autoencoder.model import load_model
from audiosae.commands.edited_tables import EditedTables
from audiosae.commands.output_folder import FILES
from audiosae.commands.recording_checks import RecordingChecks
from audiosae.commands.survey_cuts import Cutter
from audiosae.commands.survey_folder import FACTS, PAGE, survey_facts
from audiosae.commands.survey_sources import find_recordings, read_sources
from audiosae.corpus.sources import printable
from audiosae.errors import AudiosaeError, InputError
from audiosae.recordings.spectrogram import Spectrogram
from audiosae.sounds.event_codes import recordings_domain
from audiosae.sounds.sound_types import load_types
from audiosae.system.files import signature
from audiosae.system.progress import counted
from audiosae.system.text import some_of
from audiosae.views.served_page import read_page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from audiosae.autoencoder.model import Model
    from audiosae.commands.survey_search import SurveySearch
    from audiosae.commands.survey_sources import SurveyedRecording
    from audiosae.sounds.sound_types import Types
    from audiosae.views.served_page import SurveyPage

_WITH_MODEL = "start audiosae open with --model and its path"
_REPORT = "report.html"  # the page has a link to it if it is beside


@dataclass
class OpenedSurvey:
    """A survey's folder, its recordings and its model.

    Attributes
    ----------
    recordings
        Recordings by their names in the survey; `checks` finds out whether they are still the same.
    written
        When the survey was written, in ns.
    search
        None without a model or recordings; `no_search` says why.
    """

    folder: Path
    facts: Mapping[str, Any]
    page: SurveyPage
    tables: EditedTables
    recordings: Mapping[str, SurveyedRecording]
    checks: RecordingChecks
    cutter: Cutter
    written: int
    search: SurveySearch | None = None
    no_search: str = ""

    def served(self) -> bytes:
        """Return the page with the tables as they are now.

        Raises
        ------
        InputError
            Another survey was written into the folder since it was read, or a table is not valid.
        """
        if _written(self.folder) != self.written:  # an error if there is none
            raise InputError(f"another survey was written into {printable(self.folder)}; start audiosae open again")
        missing = {each.file: each.fault for each in self.recordings.values() if each.path is None}
        content = {
            "labels": self.tables.labels(),
            "names": self.tables.names(),
            "missing": missing,
            "no_search": self.no_search,
            "folder": printable(self.folder),
        }
        return self.page.served(content)

    def file(self, name: str) -> Path | None:
        """Return the path of a file that the survey wrote, or of the report beside it; None for any other name."""
        path = self.folder / name
        known = name in self.facts[FILES] or (name == _REPORT and signature(path) == "whole")
        if not known or not path.is_file() or self.folder.resolve() not in path.resolve().parents:
            return None
        return path

    @property
    def summary(self) -> list[str]:
        """What can be played, what is labelled, and whether a search is possible, as lines of text."""
        missing = [each for each in self.recordings.values() if each.path is None]
        found = len(self.recordings) - len(missing)
        lines = [f"recordings: {found} of {len(self.recordings)} found"]
        if missing:
            lines.append(f"missing: {some_of([each.file for each in missing])}: {missing[0].fault}")
        labels = sum(bool(row[2] or row[3]) for row in self.tables.labels()["rows"])
        lines.append(f"labels.csv: {counted(labels, 'sound')} with a label or an answer")
        lines.append(f"search: {self.no_search or 'ready'}")
        return lines


def read_survey(folder: Path, sources: Sequence[Path]) -> OpenedSurvey:
    """Return the survey of a folder without its search.

    Raises
    ------
    InputError
        The folder is not that of a survey of this version, a file of it is not valid, or a folder of `sources` does not
        exist.
    """
    facts = survey_facts(folder)
    if facts is None:
        raise InputError(f"{printable(folder)}: no {FACTS}; wanted the folder that audiosae survey wrote")
    page = read_page(folder / PAGE)
    tables = EditedTables(folder, page, len(facts["types"]))
    tables.labels(), tables.names()  # they must be valid now
    channel = (facts.get("detector") or {}).get("channel") or 0
    domain = Spectrogram(channel=channel)  # any other setting does not matter for excerpts
    recordings = find_recordings(read_sources(folder), sources, domain.suffixes)
    checks = RecordingChecks(recordings)
    return OpenedSurvey(folder, facts, page, tables, recordings, checks, Cutter(domain, checks), _written(folder))


def _written(folder: Path) -> int:
    try:
        return (folder / FACTS).stat().st_mtime_ns
    except OSError as error:
        raise InputError(
            f"cannot read {printable(folder / FACTS)} ({error.strerror or error}); restore the folder of the survey, "
            "or start audiosae open again"
        ) from error


def survey_model(opened: OpenedSurvey, model: Path | None) -> tuple[Model, Types] | str:
    """Return the model and the types of a survey, or why there can be no search.

    Parameters
    ----------
    model
        The option --model; None if it was not given.

    Raises
    ------
    InputError
        The model of the option cannot be used.
    """
    recorded = read_sources(opened.folder)["model"]
    if model is None and not recorded:
        return f"the survey does not know where its model is; {_WITH_MODEL}"
    path = model or Path(recorded)
    try:
        loaded = load_model(path)
        recordings_domain(loaded, "open")
        if loaded.digest != opened.facts["model_digest"]:
            raise InputError(f"{printable(path)} is not the model of this survey")
        types = load_types(opened.folder, loaded.digest)
    except AudiosaeError as error:
        if model:
            raise
        return f"{error}; {_WITH_MODEL}"
    if not any(each.path for each in opened.recordings.values()):
        return "no recording was found; start audiosae open with --sources and the folder where they are now"
    return loaded, types
