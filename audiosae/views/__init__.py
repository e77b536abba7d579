"""Pages to look at and listen to: each unit, how two models differ, what is in an archive, search by example."""

from audiosae.views.diff_page import write_diff
from audiosae.views.survey_page import write_find_page, write_survey_page
from audiosae.views.units_page import write_report

__all__ = ["write_diff", "write_find_page", "write_report", "write_survey_page"]
