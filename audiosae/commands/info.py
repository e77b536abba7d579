"""``audiosae info``: description of a model."""

from __future__ import annotations

from audiosae.autoencoder.model import as_model, path_of
from audiosae.commands.answer import Answer
from audiosae.commands.shared_options import ModelPath
from audiosae.features.stability import read
from audiosae.features.summary import activity_of, summarise
from audiosae.system.frames import text_table
from audiosae.system.parameters import command


@command(example="audiosae info first-run")
def info(model: ModelPath) -> Answer:
    """Describe a model: domain, options, data, quality.

    Returns
    -------
    Answer
    """
    loaded, location = as_model(model), path_of(model)
    stability, activity = read(location, loaded.params.hidden) if location else None, activity_of(loaded)
    sources = {key: value for key, value in loaded.facts.get("sources", {}).items() if key != "digests"}
    facts = {
        **loaded.facts,
        **({"sources": sources} if sources else {}),
        "window": list(loaded.domain.window),
        "activity": activity,
        "hidden": loaded.params.hidden,
        **({"stability": stability.to_json()} if stability else {}),
    }
    return Answer(text_table(summarise(loaded, activity, stability)), facts)
