"""Pictures of the sites of a survey: a timeline for each."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from audiosae.system.files import write_errors
from audiosae.system.text import file_names
from audiosae.views.timeline_picture import draw_timeline, highest_rates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from audiosae.sounds.results import Survey

SITE_PICTURES = "timeline.sites"  # folder of the timelines of sites
MOST_SITES = 100  # with a picture; the table has all


def site_files(survey: Survey) -> dict[str, str]:
    """Return the name of the picture of each site, without its suffix."""
    return file_names([name for name in survey.site_names if name])


def site_timelines(survey: Survey, folder: Path) -> Iterator[Callable[[], None]]:
    """Yield functions that draw ``NAME.png`` in a folder for each site with dated recordings, if there are several.

    A type has the same colours in all pictures.
    """
    files = site_files(survey)
    names = [*files]
    lines = {name: survey.timeline(name) for name in names[:MOST_SITES]} if len(names) > 1 else {}
    highest = highest_rates(lines.values())
    for name, line in lines.items():
        if line.cells:
            with write_errors(folder):
                folder.mkdir(exist_ok=True)
            yield partial(
                draw_timeline, line, folder / f"{files[name]}.png", names=survey.names, title=name, highest=highest
            )
