"""The option --labels of survey: reading the table, and the summary of the labels."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from audiosae.errors import InputError
from audiosae.sounds.answers import read_answers
from audiosae.sounds.events import REJECTED
from audiosae.sounds.sound_types import FILE, load_types
from audiosae.system.frames import text_table
from audiosae.system.progress import counted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from audiosae.sounds.answers import AnswerTable
    from audiosae.sounds.results import Survey


def read_labels(path: Path, digest: str, say: Callable[[str], None]) -> AnswerTable:
    """Read the table of --labels; its types are those of the survey in its folder, if there is one.

    Parameters
    ----------
    digest
        Digest of the model.
    """
    table = read_answers(path, say)
    if table.own and (path.parent / FILE).is_file():
        with suppress(InputError):  # types of another model or version
            table = table.with_types(load_types(path.parent, digest).digest)
    return table


def label_lines(survey: Survey) -> list[str]:
    """Return the summary of the labels of a survey; nothing if no sound has one."""
    if not survey.labels or not survey.labels.scores:
        return []
    rows: list[tuple[str, ...]] = [("label", "answers", f"{survey.group}s", "files", "precision", "recall")]
    for each in survey.labels.scores:
        shares = ("" if share is None else f"{share:.2f}" for share in (each.precision, each.recall))
        rows.append((each.label, f"{each.answers:,}", f"{each.sounds:,}", f"{each.files:,}", *shares))
    rejected = int((survey.sounds.type == REJECTED).sum())
    omitted = [f"not of interest, and left out of the tables: {counted(rejected, survey.group)}"] if rejected else []
    return [text_table(rows), f"labels: {survey.labels.note}", *omitted]
