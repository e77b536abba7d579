"""Tables in other programs: documented columns and types, and the same values in pandas, Arrow, Polars and DuckDB."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from documented import check_csv, column_of
from surveys import coded_survey, survey_of

import audiosae
from audiosae.errors import InputError
from audiosae.sounds.answers import read_answers
from audiosae.sounds.survey_tables import TABLES

ARROW = {"integer": pa.int64(), "text": pa.string(), "date": pa.date32(), "number": pa.float64()}
PANDAS = {"integer": "Int64", "text": "str", "date": "str", "number": "float64"}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_the_documented_columns_types_and_values_in_csv_pandas_and_arrow(name, tmp_path):
    table = coded_survey().table(name)
    table.write_csv(tmp_path / f"{name}.csv")
    head, rows = check_csv(tmp_path / f"{name}.csv")
    kinds = {column: column_of(name, column)[1] for column in head}
    assert table.kinds == kinds
    arrow, frame = pa.table(table), table.frame()
    assert [*zip(arrow.column_names, arrow.schema.types, strict=True)] == [(c, ARROW[k]) for c, k in kinds.items()]
    assert arrow.num_rows == len(frame) == len(rows) > 0
    read = pd.read_csv(
        tmp_path / f"{name}.csv",
        dtype={column: PANDAS[kind] for column, kind in kinds.items()},
        parse_dates=[column for column, kind in kinds.items() if kind == "date"],
    )
    for found in (arrow.to_pandas(), frame):
        assert [*map(cells, found.itertuples(index=False))] == [*map(cells, read.itertuples(index=False))]
    table.write_parquet(tmp_path / f"{name}.parquet")
    assert pa.parquet.read_table(tmp_path / f"{name}.parquet").equals(arrow)


def cells(row):
    """Values of a row; None for every form of a missing value."""
    return [None if pd.isna(value) else pd.Timestamp(value) if isinstance(value, date) else value for value in row]


def test_types_of_frames_do_not_depend_on_the_values():
    frame, bouts = coded_survey().frame(), coded_survey().frame("bout")
    assert frame["site"].tolist() == bouts["site"].tolist() == ["007", "007", "012", "012", "012"]
    assert (frame["bout"].dtype.name, frame["confidence"].dtype.name) == ("int64", "float64")
    effort = coded_survey().table("effort").frame()
    assert (effort["hour"].dtype.name, effort["date"].dtype.kind) == ("Int64", "M")
    empty = survey_of([], [])
    assert empty.frame().shape == (0, 11)
    assert (empty.frame()["start"].dtype, empty.table("timeline").frame()["date"].dtype.kind) == (np.float64, "M")
    assert pa.table(empty).num_rows == 0
    with pytest.raises(InputError, match="table 'clips': wanted one of events, bouts, types, timeline"):
        empty.table("clips")


def test_timeline_history_and_features_are_tables_too(trained, sounds, monkeypatch):
    line = coded_survey().timeline("007")
    assert [*line.frame().columns] == pa.table(line).column_names == ["date", "hour", "type", "events", "seconds"]
    assert pa.table(line)["date"].to_pylist()[0] == date(2024, 10, 26)
    assert "<caption>timeline" in line._repr_html_()
    features = audiosae.export(trained, sounds)
    arrow = pa.table(features)
    assert arrow.column_names == [*features.columns, *features.names]
    np.testing.assert_array_equal(arrow[features.names[3]].to_numpy(), features.features[:, 3])
    assert arrow.schema.types[:2] == [pa.string(), pa.float64()]
    check_csv(trained / "history.csv")
    check_csv(trained / "journal.csv")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    for table in (line, features, coded_survey()):
        with pytest.raises(InputError, match=r"needs pyarrow: pip install 'audiosae\[parquet\]', or use frame"):
            table.__arrow_c_stream__()


@pytest.mark.slow
def test_the_other_tables_are_as_documented(trained, sounds, run, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("filename,label\n" + "".join(f"tone_{n:02d}.wav,0{n % 2}\n" for n in range(12)))
    trained_run = audiosae.train(sounds, hidden=4, epochs=2)
    assert pa.table(trained_run).equals(pa.table(trained_run.history))
    assert trained_run.frame()["epoch"].tolist() == [row.epoch for row in trained_run.history]
    for level, options in (("file", {"labels": table, "pool": "mean,max"}), ("window", {})):
        audiosae.export(trained, sounds, tmp_path / f"{level}.csv", level=level, **options)
        check_csv(tmp_path / f"{level}.csv", "features")
    found = audiosae.find(trained, sounds, sounds / "tone_00.wav", tmp_path / "like.csv", count=3)
    check_csv(tmp_path / "like.csv")
    assert pa.table(found).num_rows == 3
    assert pa.table(audiosae.inspect(sounds)).num_rows == 12


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_polars_and_duckdb_take_every_table_with_its_types(name):
    polars = pytest.importorskip("polars", reason="Polars is not installed: pip install polars")
    duckdb = pytest.importorskip("duckdb", reason="DuckDB takes the tables as they are: pip install duckdb")
    sounds = coded_survey().table(name)
    expected = pa.table(sounds)
    frame = polars.DataFrame(sounds)
    assert frame.to_arrow().cast(expected.schema).equals(expected)
    assert {str(kind) for kind in frame.dtypes} <= {"Int64", "Float64", "String", "Date"}
    types = {"text": "VARCHAR", "integer": "BIGINT", "number": "DOUBLE", "date": "DATE"}
    relation = duckdb.sql("SELECT * FROM sounds")  # DuckDB finds the variable
    assert [*zip(relation.columns, map(str, relation.types), strict=True)] == [
        (column, types[kind]) for column, kind in sounds.kinds.items()
    ]
    assert relation.to_arrow_table().cast(expected.schema).equals(expected)


def answers(path):
    """What a labels.csv says, without the numbers of its lines."""
    return [(a.event, a.file, a.start, a.end, a.type, a.label, a.answer) for a in read_answers(path).rows]


def test_labels_that_pandas_or_arrow_wrote_are_the_same(tmp_path):
    survey, path = coded_survey(), tmp_path / "labels.csv"
    survey.table("labels").write_csv(path)
    expected = answers(path)
    assert [row[5] for row in expected] == ["01", "", "", "", "01"]
    survey.table("labels").frame().to_csv(path, index=False)
    assert answers(path) == expected
    pa.csv.write_csv(pa.table(survey.table("labels")), path)
    assert answers(path) == expected


@pytest.mark.slow
def test_labels_and_features_pass_through_polars_and_duckdb_unchanged(trained, sounds, tmp_path):
    polars = pytest.importorskip("polars", reason="Polars is not installed: pip install polars")
    duckdb = pytest.importorskip("duckdb", reason="the tables pass through DuckDB: pip install duckdb")
    labels, path = coded_survey().table("labels"), tmp_path / "labels.csv"
    labels.write_csv(path)
    expected = answers(path)
    polars.DataFrame(labels).write_csv(path)
    assert answers(path) == expected
    duckdb.sql("SELECT * FROM labels").write_csv(str(path))
    assert answers(path) == expected
    features = audiosae.export(trained, sounds)
    for frame in (polars.DataFrame(features), duckdb.sql("SELECT * FROM features").pl()):
        np.testing.assert_array_equal(frame.select(features.names).to_numpy(), features.features)
        assert frame["file"].to_list() == features.keys["file"].tolist()
