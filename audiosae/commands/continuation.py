"""The option --new-only of survey: the survey in a folder is continued with new recordings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audiosae.commands.survey_folder import FACTS, LABELS, OPTIONS, TYPES, Given, survey_facts
from audiosae.errors import InputError
from audiosae.sounds.answers import read_answers
from audiosae.system.progress import counted
from audiosae.system.text import some_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def continued(
    out: Path | None, types: int | str, types_from: Path | None, labels: Path | None, given: Given
) -> tuple[Path | None, Path | None, Given]:
    """Return the folder of the types, the table of the labels and the options with which a survey is continued.

    Without a survey in the folder, or if it was killed before it had types, they are the options as they were given.

    Raises
    ------
    InputError
        There is no folder, or an option is given that would replace the types of the survey.
    """
    if out is None:
        raise InputError("--new-only: wanted the folder of a survey; give it with -o")
    if not (out / FACTS).exists():
        return types_from, labels, given
    if types_from is not None and types_from.absolute() not in {out.absolute(), (out / TYPES).absolute()}:
        raise InputError(f"--new-only: the types of {out} are used; leave out --types-from {types_from}")
    if str(types) != "auto":
        raise InputError(f"--new-only: the types of {out} are used; leave out --types {types}")
    own = out / LABELS
    earlier = (survey_facts(out) or {}).get(OPTIONS, {})
    return out, labels or (own if own.is_file() else None), given.completed(earlier)


def continued_note(out: Path, files: Sequence[str]) -> str:
    """Return a message on how many recordings are new to a folder, by its labels.csv; "" if it has none.

    Raises
    ------
    InputError
        None of its recordings is among `files`: its tables would lose all of them.
    """
    if not (out / LABELS).is_file():
        return ""
    earlier = dict.fromkeys(row.file for row in read_answers(out / LABELS).rows)
    now = {*files}
    gone = [file for file in earlier if file not in now]
    if earlier and len(gone) == len(earlier):
        raise InputError(
            f"--new-only: none of the recordings in {out} is among the sources, such as {some_of(gone)}; give all "
            "recordings, old and new, in the same way as before: those that are done are not read again"
        )
    lost = f"; {counted(len(gone), 'recording')} of it will be left out: {some_of(gone)}" if gone else ""
    return f"continuing the survey in {out}{lost}"
