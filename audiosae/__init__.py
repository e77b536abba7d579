"""audiosae: sparse features of unlabelled recordings.

`train`, `export_table`, `survey_recordings`, `find_moments`, `report_units`, `compare_models` and `evaluate` are the
commands train, export, survey, find, report, diff and evaluate, for scripts and notebooks; `load_model` reads what
``audiosae train`` wrote; `SparseAutoencoder` learns from an array, in scikit-learn's manner. Nothing heavy is imported
until it is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audiosae.commands.evaluate import evaluate
    from audiosae.commands.export import export_table
    from audiosae.commands.find import find_moments
    from audiosae.commands.model import Model, load_model
    from audiosae.commands.report import Page, compare_models, report_units
    from audiosae.commands.survey import survey_recordings
    from audiosae.commands.train import Run, train
    from audiosae.errors import AudiosaeError, InputError
    from audiosae.estimator import SparseAutoencoder
    from audiosae.evaluation.compare import Evaluation
    from audiosae.features.table import Table
    from audiosae.sounds.results import Survey
    from audiosae.sounds.search import Matches

__all__ = [
    "AudiosaeError",
    "Evaluation",
    "InputError",
    "Matches",
    "Model",
    "Page",
    "Run",
    "SparseAutoencoder",
    "Survey",
    "Table",
    "compare_models",
    "evaluate",
    "export_table",
    "find_moments",
    "load_model",
    "report_units",
    "survey_recordings",
    "train",
]

_PLACES = {
    "AudiosaeError": "errors",
    "Evaluation": "evaluation.compare",
    "InputError": "errors",
    "Matches": "sounds.search",
    "Model": "commands.model",
    "Page": "commands.report",
    "Run": "commands.train",
    "SparseAutoencoder": "estimator",
    "Survey": "sounds.results",
    "Table": "features.table",
    "compare_models": "commands.report",
    "evaluate": "commands.evaluate",
    "export_table": "commands.export",
    "find_moments": "commands.find",
    "load_model": "commands.model",
    "report_units": "commands.report",
    "survey_recordings": "commands.survey",
    "train": "commands.train",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import what the package offers when it is asked for."""
    if name in _PLACES:
        from importlib import import_module

        return getattr(import_module(f"audiosae.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return what the package offers, imported yet or not."""
    return sorted({*globals(), *__all__})
