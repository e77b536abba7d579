"""One self-contained page to look at and listen to: what each unit has learned, or how two models differ."""

from audiosae.report.diff import write_diff
from audiosae.report.report import write_report

__all__ = ["write_diff", "write_report"]
