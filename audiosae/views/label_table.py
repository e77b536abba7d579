"""Labels on the page of a survey: their table, those of a sound type, and that of one sound."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from audiosae.sounds.answers import REJECTED

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audiosae.sounds.events import Event
    from audiosae.sounds.results import Survey

_SHOWN = 5  # labels of a type
_HEAD = ("label", "answers", "sounds", "recordings", "precision", "recall")


def label_table(survey: Survey) -> dict[str, Any] | None:
    """Return the table of the labels; None if there are none."""
    if not survey.labels or not survey.labels.scores:
        return None
    rows = []
    for each in survey.labels.scores:
        shares = ["" if share is None else f"{share:.2f}" for share in (each.precision, each.recall)]
        rows.append([_named(each.label), f"{each.answers:,}", f"{each.sounds:,}", f"{each.files:,}", *shares])
    return {"head": _HEAD, "rows": rows, "note": survey.labels.note}


def labels_of(survey: Survey, numbers: NDArray[np.intp]) -> str:
    """Return the most frequent labels of some sounds as text; "" if they have none."""
    names = survey.label_names
    labels = Counter(names[i] for i in survey.sounds.label[numbers].tolist() if i >= 0 and names[i])
    most = sorted(labels.items(), key=lambda item: (-item[1], item[0]))
    text = ", ".join(f"{_named(name)} {count:,}" for name, count in most[:_SHOWN])
    return f"{text}, and {len(most) - _SHOWN} more" if len(most) > _SHOWN else text


def label_text(event: Event) -> str:
    """Return the label of a sound, and how likely it is if nobody gave it."""
    if not event.label:
        return ""
    return _named(event.label) if event.confidence == 1 else f"{_named(event.label)} ({event.confidence:.2f})"


def _named(label: str) -> str:
    return "not of interest" if label == REJECTED else label
