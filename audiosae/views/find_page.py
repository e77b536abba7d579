"""HTML page of find: the examples, and the sounds most similar to them, to play."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.sounds.event_codes import recordings_domain
from audiosae.sounds.events import Events
from audiosae.system.files import write_file
from audiosae.system.progress import Progress, counted
from audiosae.views.event_excerpts import EventExcerpts
from audiosae.views.excerpts import choose_excerpts, with_local_fields
from audiosae.views.page import fill
from audiosae.views.survey_page import SIZE, free_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from audiosae.autoencoder.model import Model
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.sounds.examples import Example
    from audiosae.sounds.search import Matches


def write_find_page(
    model: Model,
    corpus: EngineCorpus,
    queries: EngineCorpus,
    matches: Matches,
    path: Path,
    *,
    size: int = SIZE,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write the page of a search: the examples, and the sounds most similar to them.

    Parameters
    ----------
    queries
        The recording of each example, read like `corpus`.
    matches
        Result of the search in `corpus.only(corpus.used)`.
    path, size, progress
        As for `audiosae.views.survey_page.write_survey_page`.

    Returns
    -------
    dict
        page, bytes, examples (shown), examples_there (available).
    """
    progress, count, given = progress or Progress(), len(matches.events), matches.examples
    view: dict[str, Any] = {
        "title": "Sounds similar to examples",
        "heading": "Sounds similar to examples",
        "notes": [],
        "lead": f"The {counted(count, 'sound')} in {counted(len(corpus.used), 'recording')} most similar to "
        f"{_named(given)}.",
    }
    progress.stage("page", count + len(given), "moments")
    free = free_bytes(len(fill("find", view, {"items": _items(), "pieces": []})), size, "texts and scripts alone")
    items, pieces = find_content(model, corpus, queries, matches, size=free, done=lambda: progress.advance(1))
    shown = len(items["matches"])
    if shown < count:
        view["notes"].append(f"{shown} of {count} sounds fit into {size / 2**20:.3g} MiB.")
    page = fill("find", view, {"items": items, "pieces": pieces})
    write_file(path, page)
    return {
        "page": str(path),
        "bytes": len(page),
        "examples": len(items["examples"]) + shown,
        "examples_there": count + len(given),
    }


def find_content(
    model: Model,
    corpus: EngineCorpus,
    queries: EngineCorpus,
    matches: Matches,
    *,
    size: int,
    done: Callable[[], None] = lambda: None,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the examples and matches of a search, and their excerpts, as the scripts of pages show them.

    Parameters
    ----------
    queries, matches
        As for `write_find_page`.
    size
        Largest number of bytes; the least similar sounds are left out.
    done
        Called after each excerpt.
    """
    domain, count, given = recordings_domain(model, "find", corpus), len(matches.events), matches.examples
    corpus = corpus.only(corpus.used)
    records, first = [*corpus.records, *queries.records], len(corpus.records)
    events = _with_examples(matches.events, first, given, domain.sample_rate / 2)
    corpus = with_local_fields(corpus.part(records), sorted({int(i) for i in events.record}))
    shown = [*range(count, count + len(given)), *range(count)]
    pieces, (chosen,) = choose_excerpts([[(n, 0.0) for n in shown]], EventExcerpts(domain, corpus, events), size, done)
    examples = [window | _of_example(given[window["event"] - count]) for window in chosen[: len(given)]]
    return _items(examples, [window | _of_match(matches, window["event"]) for window in chosen[len(given) :]]), pieces


def _items(examples: Sequence[dict[str, Any]] = (), matches: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    return {"examples": list(examples), "matches": list(matches)}


def _named(examples: Sequence[Example]) -> str:
    """Return the examples as a phrase."""
    wanted, unwanted = ([each.text for each in examples if each.liked == liked] for liked in (True, False))
    phrase = wanted[0] if len(wanted) == 1 else counted(len(wanted), "example")
    return phrase + (f" and unlike {unwanted[0] if len(unwanted) == 1 else len(unwanted)}" if unwanted else "")


def _of_example(example: Example) -> dict[str, Any]:
    return {"liked": example.liked, "text": example.text}


def _of_match(matches: Matches, number: int) -> dict[str, Any]:
    """Return what the page shows of a match: date and time, similarity, and the nearest of several examples."""
    time, (like, _) = matches.time(number), matches.nearest[number]
    several = sum(example.liked for example in matches.examples) > 1
    return {
        "time": time.strftime("%Y-%m-%d %H:%M:%S") if time else "",
        "similarity": float(matches.similarity[number]),
        "like": int(like) + 1 if several else 0,
    }


def _with_examples(events: Events, record: int, examples: Sequence[Example], high: float) -> Events:
    """Return the events and the examples as further events; their recordings are numbered from `record`."""
    given: dict[str, list[float]] = {
        "record": [record + i for i in range(len(examples))],
        "start": [each.start for each in examples],
        "end": [each.end for each in examples],
        "low_hz": [each.low_hz for each in examples],
        "high_hz": [min(each.high_hz, high) for each in examples],
    }
    columns = {column.name: getattr(events, column.name) for column in fields(events)}
    zeros = [0.0] * len(examples)
    return Events(
        **{name: np.append(values, np.array(given.get(name, zeros), values.dtype)) for name, values in columns.items()}
    )
