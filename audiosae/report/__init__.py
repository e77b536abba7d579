"""Pages to look at and listen to: each unit, how two models differ, what is in an archive, search by example."""

from audiosae.report.diff import write_diff
from audiosae.report.report import write_report
from audiosae.report.survey import write_find_page, write_survey_page

__all__ = ["write_diff", "write_find_page", "write_report", "write_survey_page"]
