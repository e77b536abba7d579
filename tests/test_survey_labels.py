"""Labels of sounds: the table, matching, moves, joins and rejections, classification, and what is carried over."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from audiosae.errors import InputError
from audiosae.sounds.answer_matching import Places, match
from audiosae.sounds.answers import REJECTED, Answer, read_answers, write_answers
from audiosae.sounds.labelled import OUT, label_sounds
from audiosae.sounds.labeller import Examples, ask_next, predict
from audiosae.sounds.taught import SameTypes, Taught

HEAD = "event,file,start,end,type,label,answer\n"
KINDS, EACH, FILES = 4, 30, 6
rng = np.random.default_rng(0)
KIND = np.tile(np.arange(KINDS), EACH)
CENTRES = np.eye(KINDS, 8, dtype=np.float32)
POINTS = (CENTRES[KIND] + rng.normal(0, 0.15, (len(KIND), 8))).astype(np.float32)
POINTS /= np.linalg.norm(POINTS, axis=1, keepdims=True)
START = 10.0 * np.arange(len(KIND) // FILES)


def places():
    """120 sounds of 1 s in six recordings, of four kinds in turn."""
    count = len(KIND)
    start = np.tile(START, FILES)
    low, high = np.full(count, 1000, np.float32), np.full(count, 2000, np.float32)
    record = np.repeat(np.arange(FILES, dtype=np.int32), count // FILES)
    return Places([f"{i}.wav" for i in range(FILES)], [300.0] * FILES, record, start, start + 1, low, high)


def labelled(table=None, taught=None, names=None):
    taught = taught or Taught.nothing(8)
    return label_sounds(
        places(),
        POINTS,
        (KIND + 1).astype(np.int32),
        centres=CENTRES,
        digest="abc",
        names=names or {},
        taught=taught,
        table=table,
    )


def table_of(tmp_path, edit=lambda _: None, result=None):
    """Return the table of labels of a survey after an edit of its rows, as read again."""
    rows = list((result or labelled()).labels.answers)
    edit(rows)
    write_answers(rows, tmp_path / "labels.csv")
    return read_answers(tmp_path / "labels.csv").with_types("abc")


def test_everything_in_the_table_is_applied_exactly_and_written_again(tmp_path):
    def edit(rows):
        for i in np.flatnonzero(KIND == 1):
            rows[i] = replace(rows[i], type=1)  # type 2 becomes one with type 1
        rows[2] = replace(rows[2], type=4)
        rows[3] = replace(rows[3], type=5)  # a new type
        rows[4] = replace(rows[4], label="-")
        rows[6] = replace(rows[6], label="wren", answer="yes")
        rows[7] = replace(rows[7], answer="no")
        rows[10] = replace(rows[10], label='=x;"y"')

    table = table_of(tmp_path, edit)
    result = labelled(table)
    expected = np.where(KIND == 1, 1, KIND + 1)
    expected[[2, 3, 4, 7]] = 4, 5, OUT, 0
    np.testing.assert_array_equal(result.type, expected)
    assert [result.labels.names[i] for i in result.labels.label[[4, 6, 10]]] == ["-", "wren", '=x;"y"']
    assert result.taught.joined == {2: 1}
    table_of(tmp_path, result=result)
    written = (tmp_path / "labels.csv").read_bytes()
    again = labelled(read_answers(tmp_path / "labels.csv").with_types("abc"))
    table_of(tmp_path, result=again)
    assert (tmp_path / "labels.csv").read_bytes() == written
    assert (again.type.tolist(), again.labels.answers) == (result.type.tolist(), result.labels.answers)
    np.testing.assert_array_equal(again.labels.confidence, result.labels.confidence)


def test_the_next_survey_has_labels_moves_and_joined_types(tmp_path):
    def edit(rows):
        for i in np.flatnonzero(KIND == 1):
            rows[i] = replace(rows[i], type=1)
        for i in range(0, 60, 3):
            rows[i] = replace(rows[i], label=f"kind {KIND[i]}")
        rows[0] = replace(rows[0], type=3, label="-")

    first = labelled(table_of(tmp_path, edit))
    taught = Taught.of(first.taught.to_json(), first.taught.tensors, 8)
    later = labelled(taught=taught)
    assert later.type.tolist() == first.type.tolist()
    assert later.labels.answers == first.labels.answers
    july = replace(places(), files=[f"july{i}.wav" for i in range(FILES)])  # no sound of it has an answer
    result = label_sounds(
        july, POINTS, (KIND + 1).astype(np.int32), centres=CENTRES, digest="abc", names={}, taught=taught, table=None
    )
    right = [result.labels.names[i] == f"kind {kind}" for i, kind in zip(result.labels.label, KIND, strict=True)]
    assert np.mean(right) > 0.95
    assert set(result.type.tolist()) == {1, 3, 4}
    assert len(result.taught.answers) == len(taught.answers)


def test_the_others_are_classified_with_precision_and_recall(tmp_path):
    def edit(rows):
        for i in range(0, 120, 5):
            rows[i] = replace(rows[i], label=f"kind {KIND[i]}")

    labels = labelled(table_of(tmp_path, edit)).labels
    assert np.mean([labels.names[i] == f"kind {kind}" for i, kind in zip(labels.label, KIND, strict=True)]) > 0.95
    assert [score.answers for score in labels.scores] == [6] * KINDS
    assert min(min(score.precision, score.recall) for score in labels.scores) > 0.8
    given = np.arange(0, 120, 5)
    assert (labels.confidence[given] == 1).all()
    assert 0.5 < np.delete(labels.confidence, given).mean() < 1
    assert not {*given} & {*labels.ask_next}


def test_answers_no_and_other_are_no_labels(tmp_path):
    def edit(rows):
        for i in range(1, 120, 5):
            rows[i] = replace(rows[i], label=f"kind {KIND[i]}")
        rows[0] = replace(rows[0], label="kind 0", answer="no")
        rows[4] = replace(rows[4], label="kind 0", answer="other")

    labels = labelled(table_of(tmp_path, edit)).labels
    assert labels.names[labels.label[0]] != "kind 0"
    assert labels.names[labels.label[4]] == ""
    assert [score.label for score in labels.scores] == [f"kind {i}" for i in range(KINDS)]


@pytest.mark.parametrize("count", [30, 80])  # the graph, and ridge regression
def test_labels_of_few_sounds_classify_the_others(count):
    order = np.random.default_rng(1).permutation(len(KIND))
    known, rest = order[:count], order[count:]
    found = predict(POINTS[rest], Examples(POINTS[known], KIND[known], known % FILES), KINDS)
    assert (found.probability.argmax(axis=1) == KIND[rest]).mean() > 0.95
    assert (found.held_out == KIND[known]).mean() > 0.9
    np.testing.assert_allclose(found.probability.sum(axis=1), 1)


def test_first_typical_then_uncertain_sounds_are_asked_about():
    answered = np.zeros(len(KIND), bool)
    assert {*KIND[ask_next(POINTS, answered, None, 25)]} == {*range(KINDS)}
    answered[:30] = True
    probability = np.full((len(KIND), 2), [1.0, 0.0])
    probability[[70, 50]] = [0.5, 0.5], [0.6, 0.4]
    assert ask_next(POINTS, answered, probability, 2).tolist() == [70, 50]


def test_types_of_the_same_name_are_one():
    result = labelled(names={2: "wren", 3: "crow", 4: "wren"})
    np.testing.assert_array_equal(result.type, np.where(KIND == 3, 2, KIND + 1))
    assert SameTypes({2: "wren", 3: "crow", 4: "wren"}, {}).listed(4) == [1, 2, 3]


def test_labels_of_another_program_are_matched_by_time_and_frequency(tmp_path):
    raven = "Selection\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tBegin File\tSpecies\n"
    raven += "1\t9.9\t13\t900\t1500\t1.wav\twren\n2\t20.4\t20.6\t900\t1500\t1.wav\tcrow\n"
    (tmp_path / "t.txt").write_text(raven + "3\t30\t31\t4000\t5000\t1.wav\ttit\n4\t3\t4\t0\t1\tx.wav\ttit\n")
    result = labelled(read_answers(tmp_path / "t.txt"))
    assert [row.event for row in result.labels.answers if row.label] == [22]
    assert result.labels.answers[21].label == "wren"
    assert "1 label not used, of recordings that are not in this survey: x.wav" in result.notes[0]
    assert "2 of 3 annotations cover no sound" in result.notes[1]


def test_recordings_of_the_same_name_are_told_apart_by_their_folders(tmp_path):
    two = replace(places(), files=["a/0.wav", "b/0.wav", *(f"{i}.wav" for i in range(2, FILES))])
    (tmp_path / "t.csv").write_text("file,start,end,label\nD:\\rec\\b\\0.wav,0,1,wren\n")
    assert [*match(read_answers(tmp_path / "t.csv"), two, "").near] == [len(KIND) // FILES]
    (tmp_path / "t.csv").write_text("file,start,end,label\n0.wav,0,1,wren\n")
    with pytest.raises(InputError, match="line 2: 0.wav may be a/0.wav or b/0.wav; name the recordings with their"):
        match(read_answers(tmp_path / "t.csv"), two, "")
    (tmp_path / "b_0.txt").write_text("0\t1\twren\n")  # a label track with the name that audiosae gave to it
    assert [*match(read_answers(tmp_path / "b_0.txt"), two, "").near] == [len(KIND) // FILES]
    (tmp_path / "t.csv").write_text("file,start,end,label\nb/0.flac,0,1,wren\n2,0,1,tit\n")  # converted since
    assert [*match(read_answers(tmp_path / "t.csv"), two, "").near] == [n * len(KIND) // FILES for n in (1, 2)]


def test_labels_of_one_site_are_not_given_to_another_with_the_same_file_names(tmp_path):
    south = replace(places(), files=["south/0.wav", *(f"{i}.wav" for i in range(1, FILES))])
    (tmp_path / "t.csv").write_text("file,start,end,label\nnorth/0.wav,0,1,wren\n1.wav,0,1,tit\n")
    matched = match(read_answers(tmp_path / "t.csv"), south, "")
    assert [*matched.near] == [len(KIND) // FILES]
    assert "1 label not used, of recordings that are not in this survey: north/0.wav" in matched.notes[0]


def test_of_annotations_that_cover_a_sound_the_one_of_its_size_is_used(tmp_path):
    (tmp_path / "t.csv").write_text("file,start,end,label\n0.wav,0,1,cat\n0.wav,0,2.5,donkey\n")
    assert match(read_answers(tmp_path / "t.csv"), places(), "").near[0].label == "cat"


def test_labels_of_all_sounds_are_tested_too(tmp_path):
    def edit(rows):
        rows[:] = [replace(row, label=f"kind {kind}") for row, kind in zip(rows, KIND.tolist(), strict=True)]

    labels = labelled(table_of(tmp_path, edit)).labels
    assert "1.00 of them are classified correctly" in labels.note
    assert {score.recall for score in labels.scores} == {1.0}


def test_the_table_survives_spreadsheets(tmp_path):
    text = HEAD.replace(",", ";") + "2;0.wav;10,0;11,0;;M\u00f6we;\r\n4.0;.\\0.wav;30;31;4.0;\u2013;\r\n"
    (tmp_path / "labels.csv").write_bytes(text.encode("utf-8-sig"))
    rows = labelled(read_answers(tmp_path / "labels.csv")).labels.answers
    assert [(row.event, row.label) for row in rows if row.label] == [(2, "M\u00f6we"), (4, REJECTED)]


ROWS = "".join(f"{i},0.wav,{10 * i - 10},{10 * i - 9},{(i - 1) % 4 + 1},," + "\n" for i in range(1, 6))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("999,0.wav,5,6,1,a,", "line 7: event 999 does not exist; this survey has 120"),
        ("6,0.wav,50000,51000,1,a,", "line 7: event 6 is at 50.0000 to 51.0000 s of 0.wav, not at 50000 to 51000 s"),
        (",0.wav,5,6,,a,", "line 7: no sound at 5 to 6 s of 0.wav"),
        ("6,0.wav,50,51,9,a,", "line 7: type 9 does not exist; wanted 0 to 4, or 5 for a new type"),
        ("6,0.wav,50,51,two,a,", "line 7: type is 'two'; wanted a whole number"),
        ("1,0.wav,0,1,1,a,", "line 7: the sound at 0.0000 to 1.0000 s of 0.wav has another row, line 2"),
        ("6,0.wav,01. Mai,51,1,a,", "line 7: start is '01. Mai'; wanted seconds, such as 12.5; if a spreadsheet"),
        ("6,0.wav,50,49,1,a,", "line 7: end is '49'; wanted at least the start"),
        ("6,0.wav,50,51,1,a,maybe", "line 7: answer is 'maybe'; wanted yes, no, other or nothing"),
        ("x,0.wav,50,51,1,a,", "line 7: event is 'x'; wanted a whole number of at least 1"),
        ("6,,50,51,1,a,", "line 7: file is ''; wanted the name of a recording"),
    ],
)
def test_a_damaged_table_is_refused_with_the_line(tmp_path, row, message):
    (tmp_path / "labels.csv").write_text(f"{HEAD}{ROWS}{row}\n")
    with pytest.raises(InputError) as caught:
        labelled(read_answers(tmp_path / "labels.csv").with_types("abc"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_tables_of_other_surveys(tmp_path):
    (tmp_path / "labels.csv").write_text(HEAD + "1,june.wav,5,6,1,a,\n")
    with pytest.raises(InputError, match="none of its recordings is in this survey; it has june.wav"):
        labelled(read_answers(tmp_path / "labels.csv"))
    (tmp_path / "labels.csv").write_text(HEAD + ROWS.replace(",4,,", ",2,,").replace(",1,,", ",3,wren,"))
    result = labelled(read_answers(tmp_path / "labels.csv").with_types("other"))
    assert "types of another survey, which are not used; its labels are" in result.notes[0]
    assert [row.event for row in result.labels.answers if row.label] == [1, 5]
    np.testing.assert_array_equal(result.type, KIND + 1)
    (tmp_path / "labels.csv").write_text(HEAD + ROWS.replace(",1,,", ",2,,").replace(",3,,", ",1,,"))
    with pytest.raises(InputError, match="column type differs from the types of this survey in 3 of 5 rows"):
        labelled(read_answers(tmp_path / "labels.csv"))
    answer = Answer("0.wav", 0.0, 1.0)
    assert not answer.decided
