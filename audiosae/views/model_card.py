"""The card beside a model: README.md of its run folder, as the Hugging Face hub reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from audiosae.autoencoder.model import FILE
from audiosae.domain import SECONDS
from audiosae.features.stability import read
from audiosae.features.summary import activity_of
from audiosae.system.files import signature, signed, write_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from audiosae.autoencoder.model import Model
    from audiosae.features.stability import UnitStability

CARD = "README.md"
_TAGS = {"sound": ["audio"], "picture": ["images"]}


def write_model_card(
    model: Model, folder: Path, *, say: Callable[[str], None] = lambda _: None
) -> bool:  # fmt: skip
    """Write README.md into a run folder, unless one is there that is the user's or that the user has changed.

    Return whether it was written. A stability that ``evaluate --stability`` has left there for this model is told.
    """
    path = folder / CARD
    if path.exists() and signature(path) != "whole":
        what = "has been changed" if signature(path) else "was not written by audiosae"
        say(f"{path} {what}: it stays, and no card of the model is written")
        return False
    write_file(path, signed(card(model, read(folder))).encode())
    return True


def card(model: Model, stability: UnitStability | None = None) -> str:
    """Return the card of a model in Markdown, with what the hub reads before it; no licence is claimed."""
    facts, domain, sources = model.facts, model.domain, model.facts["sources"]
    tags = ["audiosae", "sparse-autoencoder", "feature-extraction", *_TAGS.get(domain.kind, [])]
    front = ["---", "library_name: audiosae", "tags:", *(f"- {tag}" for tag in tags), "---"]
    of = "held-out sources" if facts["held_out"] else "the training windows"
    fvu = f"{facts['fvu']:.3g} in the whitened space, of {of}"
    quality = [("unexplained variance (fvu)", fvu), *_quality(model)]
    if stability:
        quality.append(("stability", stability.summary()))
    extent = f"{sources['extent']:,.0f} s" if domain.unit == SECONDS else f"{sources['extent']:,.0f} {domain.unit}"
    data = [("files", f"{sources['used']} used, {sources['skipped']} skipped"), ("length", extent),
            ("windows", f"{sources['windows']} of {' x '.join(map(str, domain.window))}"),
            ("held out", sources["held_out"]), ("labels", "none were used")]  # fmt: skip
    return "\n".join([
        *front, "", f"# {model.params.hidden} sparse features of {_what(domain.kind)}", "",
        f"A sparse autoencoder that audiosae trained on {_what(domain.kind)} without labels.", "",
        "![The atoms: what each unit has learned, the most active first](atoms.png)", "",
        "## Data", "", *_table(data), "", "## Quality", "", *_table(quality), "", "## Use", "",
        "In a shell, in the folder above this one, which is called `RUN` here:", "",
        "```sh", "audiosae info RUN", "audiosae export RUN FOLDER -o features.csv", "```", "", "In Python:", "",
        "```python", "import audiosae", "", f'model = audiosae.load_model("RUN")  # or "RUN/{FILE}"',
        'table = audiosae.export(model, "FOLDER")', "```", "",
        "## Options", "", *_table([*_options("training", facts["options"]),
                                   *_options(domain.name, facts["domain"]["options"])]), "",
        "Made by " + ", ".join(f"{name} {number}" for name, number in facts["versions"].items()) + ".",
    ])  # fmt: skip


def _what(kind: str) -> str:
    return {"sound": "recordings", "picture": "pictures"}.get(kind, "rows of numbers")


def _quality(model: Model) -> list[tuple[str, str]]:
    activity = activity_of(model)
    return [
        ("mean activity (rho_hat)", f"{activity['rho_hat_mean']:.4f}, wanted rho {model.facts['options']['rho']:g}"),
        ("dead units", f"{activity['dead_units']} of {model.params.hidden}"),
        ("units on in most windows", str(activity["always_on_units"])),
        ("units whose atom another has too", str(activity["redundant_units"])),
    ]


def _options(of: str, values: dict[str, Any]) -> list[tuple[str, str]]:
    return [(f"{of}: {name}", str(value)) for name, value in values.items()]


def _table(rows: list[tuple[str, str]]) -> list[str]:
    return ["| | |", "|---|---|", *(f"| {name} | {_cell(value)} |" for name, value in rows)]


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("<", "&lt;")
