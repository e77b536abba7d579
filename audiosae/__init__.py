"""audiosae: sparse features of unlabelled recordings.

`train`, `export_table`, `survey_recordings`, `find_moments`, `report_units`, `compare_models` and `evaluate` are the
commands train, export, survey, find, report, diff and evaluate, for scripts and notebooks; `load_model` reads what
``audiosae train`` wrote; `SparseAutoencoder` learns from an array, in scikit-learn's manner. Nothing heavy is imported
until it is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audiosae.errors import AudiosaeError, InputError
    from audiosae.estimator import SparseAutoencoder
    from audiosae.evaluation.evaluate import Evaluation
    from audiosae.features.table import Table
    from audiosae.report.evaluating import evaluate
    from audiosae.report.exporting import export_table
    from audiosae.report.finding import find_moments
    from audiosae.report.model import Model, load_model
    from audiosae.report.reporting import Page, compare_models, report_units
    from audiosae.report.surveying import survey_recordings
    from audiosae.report.training import Run, train
    from audiosae.survey.results import Survey
    from audiosae.survey.search import Matches

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
    "Evaluation": "evaluation.evaluate",
    "InputError": "errors",
    "Matches": "survey.search",
    "Model": "report.model",
    "Page": "report.reporting",
    "Run": "report.training",
    "SparseAutoencoder": "estimator",
    "Survey": "survey.results",
    "Table": "features.table",
    "compare_models": "report.reporting",
    "evaluate": "report.evaluating",
    "export_table": "report.exporting",
    "find_moments": "report.finding",
    "load_model": "report.model",
    "report_units": "report.reporting",
    "survey_recordings": "report.surveying",
    "train": "report.training",
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
