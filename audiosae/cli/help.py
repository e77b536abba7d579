"""What `--help` shows besides the options themselves: an example of each command, long lists of options in groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand

if TYPE_CHECKING:
    from collections.abc import Iterable

EXAMPLES = {
    "train": "audiosae train samples/sounds -o first-run",
    "render": "audiosae render first-run -o some.png --units 0,1,2,3,4,5 --show filter",
    "export": "audiosae export first-run samples/sounds -o features.csv --labels folder",
    "evaluate": "audiosae evaluate first-run samples/sounds --labels folder --baselines random-weights,kmeans",
    "report": "audiosae report first-run samples/sounds -o report.html --labels folder",
    "survey": "audiosae survey first-run samples/sounds -o found",
    "find": "audiosae find first-run samples/sounds --like samples/sounds/cricket/cricket_00.flac@0.2-0.8 -o like.html",
    "diff": "audiosae diff first-run second-run -o diff.html",
    "info": "audiosae info first-run",
    "inspect": "audiosae inspect samples/sounds",
    "samples": "audiosae samples samples",
    "domains": "audiosae domains",
    "gradcheck": "audiosae gradcheck",
    "doctor": "audiosae doctor",
    "cache": "audiosae cache --prune --size 20G",
}
_GROUPS = {  # title: parameters; the rest is output
    "Input": ("domain set_ labels label_column fold_column group_column split_column like names types_from when "
              "time_zone"),
    "Model": ("hidden activation decoder rho beta weight_decay whiten whiten_power keep contrast remove_mean"),
    "Training": "solver epochs batch_size learning_rate tol max_windows seed resume",
    "Method": ("level pool segments code baselines classifier refit stability seed types min_duration"),
    "Machine": "backend tf32 dtype memory workers engine cache",
}  # fmt: skip
_LAST = "Output"
_LONG = 12  # options; a list of so many is grouped


class Command(TyperCommand):
    """A command whose help groups a long list of options, and ends with an example."""

    def format_options(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 (Typer's or Click's, whichever it has)
        """Write arguments, and options in their groups."""
        there = [(param, record) for param in self.get_params(ctx) if (record := param.get_help_record(ctx))]
        options = [(param.name, record) for param, record in there if param.param_type_name == "option"]
        sections = {"Arguments": [record for param, record in there if param.param_type_name == "argument"]}
        sections |= grouped(options) if len(options) >= _LONG else {"Options": [record for _, record in options]}
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401, ARG002
        """Write the example, in one line whatever the width, so that it can be copied."""
        if self.name in EXAMPLES:
            formatter.write(f"\nExample:\n  {EXAMPLES[self.name]}\n")


def grouped(options: Iterable[tuple[str | None, Any]]) -> dict[str, list[Any]]:
    """Return what there is of each option, by parameter name, under the titles of the groups."""
    options = list(options)
    trains = any(name == "solver" for name, _ in options)
    groups = {title: names.split() for title, names in _GROUPS.items() if trains or title != "Training"}
    sections: dict[str, list[Any]] = {title: [] for title in (*groups, _LAST)}
    for name, record in options:
        title = next((title for title, names in groups.items() if name in names), _LAST)
        sections[title].append(record)
    return sections
