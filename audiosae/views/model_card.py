"""Model card: README.md of a run folder, with the metadata that the Hugging Face hub reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from audiosae.autoencoder.model import FILE
from audiosae.domain import SECONDS
from audiosae.features.background import BACKGROUND
from audiosae.features.stability import read
from audiosae.features.summary import activity_of, archive_share, fact, versions_of, window_text
from audiosae.system.files import signature, signed, write_file
from audiosae.system.text import markdown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from audiosae.autoencoder.model import Model
    from audiosae.domain import Domain
    from audiosae.features.stability import UnitStability

CARD = "README.md"
_TAGS = {"sound": ["audio"], "picture": ["images"]}
_TEMPLATE = """---
library_name: audiosae
tags:
{tags}
---

# {hidden} sparse features of {inputs}

A sparse autoencoder trained by audiosae on {inputs} without labels.

![Atoms: the pattern that each unit has learned, the most active first](atoms.png)

## Data

{data}

## Quality

{quality}

## Use

In a shell, in the folder that contains this run folder; replace `RUN` by the name of the run folder:

```sh
audiosae info RUN
audiosae export RUN FOLDER -o features.csv
```

In Python:

```python
import audiosae

model = audiosae.load_model("RUN")  # or "RUN/{file}"
table = audiosae.export(model, "FOLDER")
```

## Options

{options}

Made by {versions}."""


def write_model_card(model: Model, folder: Path, *, say: Callable[[str], None] = lambda _: None) -> bool:
    """Write the model card into a run folder, unless its README.md was written or changed by the user.

    Returns
    -------
    bool
        Whether the model card was written. It includes the result of ``evaluate --stability`` if there is one in the
        folder for this model.
    """
    path = folder / CARD
    if path.exists() and signature(path) != "whole":
        reason = "has been changed" if signature(path) else "was not written by audiosae"
        say(f"{path} {reason}, so it is not replaced and no model card was written")
        return False
    write_file(path, signed([model_card_text(model, read(folder, model.params.hidden))]))
    return True


def model_card_text(model: Model, stability: UnitStability | None = None) -> str:
    """Return the model card in Markdown, with the front matter of the Hugging Face hub but without a licence."""
    facts, domain, activity = model.facts, model.domain, activity_of(model)
    tags = ["audiosae", "sparse-autoencoder", "feature-extraction", *_TAGS.get(domain.kind, [])]
    measured_on = "held-out sources" if facts.get("held_out") else "the training windows"
    quality = [
        ("unexplained variance (fvu)", f"{fact(facts, 'fvu', form='.3g')} in the whitened space, on {measured_on}"),
        ("mean activity (rho_hat)", f"{activity['rho_hat_mean']:.4f}, target rho {facts['options']['rho']:g}"),
        ("dead units", f"{activity['dead_units']} of {model.params.hidden}"),
        *([("background units", f"{facts['background_units']}: {BACKGROUND}")] if "background_units" in facts else []),
        ("units active in most windows", str(activity["always_on_units"])),
        ("units with nearly the same atom as another", str(activity["redundant_units"])),
        *([("stability", stability.summary())] if stability else []),
    ]
    data = [
        ("files", f"{fact(facts, 'sources', 'used')} used, {fact(facts, 'sources', 'skipped')} skipped"),
        ("length", f"{fact(facts, 'sources', 'extent', form=',.0f')} {'s' if domain.unit == SECONDS else domain.unit}"),
        *([("drawn from", _archive(facts, domain))] if "archive" in facts else []),
        ("windows", f"{fact(facts, 'sources', 'windows')} of {' x '.join(map(str, domain.window))} for training"),
        *([("lengths of windows", window_text(model))] if model.whitener.parts else []),
        ("held out", fact(facts, "sources", "held_out")),
        ("labels", "not used"),
    ]
    groups = {"training": facts["options"], domain.name: facts["domain"]["options"]}
    options = [(f"{group}: {name}", str(value)) for group, values in groups.items() for name, value in values.items()]
    return _TEMPLATE.format(
        tags="\n".join(f"- {tag}" for tag in tags),
        hidden=model.params.hidden,
        inputs={"sound": "recordings", "picture": "pictures"}.get(domain.kind, "rows of numbers"),
        data=_table(data),
        quality=_table(quality),
        options=_table(options),
        file=FILE,
        versions=markdown(versions_of(model)),
    )


def _archive(facts: Mapping[str, Any], domain: Domain) -> str:
    unit = "s" if domain.unit == SECONDS else domain.unit
    archive = facts["archive"]
    share = f", of which {share} was read" if (share := archive_share(facts)) else ""
    return f"{archive['sources']:,} files with {archive['extent']:,.0f} {unit}{share}"


def _table(rows: Iterable[tuple[str, str]]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {markdown(name)} | {markdown(text)} |" for name, text in rows)])
