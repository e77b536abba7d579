"""Tables of annotations of Raven, Audacity, BirdNET-Analyzer, crowsetta, R and spreadsheets are read."""

from __future__ import annotations

import codecs

import pytest

from audiosae.corpus.annotation_tables import read_annotations
from audiosae.errors import InputError

# Raven Pro exports a row per view; "File Offset (s)" counts from the beginning of the file, "Begin Time (s)" from that
# of a series of files (Raven Pro 1.4 manual, measurements)
RAVEN = (
    "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tBegin File\t"
    "File Offset (s)\tAnnotation\n"
    "1\tWaveform 1\t1\t1.5\t2.25\t0.0\t0.0\tone.wav\t1.5\twren\n"
    "1\tSpectrogram 1\t1\t1.5\t2.25\t2000.0\t4000.0\tone.wav\t1.5\twren\n"
    '2\tSpectrogram 1\t1\t61.0\t62.0\t500.0\t900.0\ttwo.wav\t1.0\t"so-called" owl\n'
)
# the headers and rows of BirdNET-Analyzer 2.0 (birdnet_analyzer/analyze/utils.py)
BIRDNET_RAVEN = (
    "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tCommon Name\t"
    "Species Code\tConfidence\tBegin Path\tFile Offset (s)\n"
    "1\tSpectrogram 1\t1\t3.0\t6.0\t0\t15000\tEurasian Blackbird\teurbla1\t0.8710\tC:\\in\\rec.wav\t3.0\n"
    "2\tSpectrogram 1\t1\t0\t3\t0\t15000\tnocall\tnocall\t1.0\tC:\\in\\silent.wav\t0\n"
)
BIRDNET_CSV = (
    "Start (s),End (s),Scientific name,Common name,Confidence,File\n"
    "3.0,6.0,Turdus merula,Eurasian Blackbird,0.8710,/in/rec.wav\n"
)
KALEIDOSCOPE = (
    "INDIR,FOLDER,IN FILE,OFFSET,DURATION,scientific_name,common_name,confidence,lat,lon,week,overlap,sensitivity\n"
    "/data,in,rec.wav,3.0,3.0,Turdus merula,Eurasian Blackbird,0.8710,-1.0000,-1.0000,-1,0.0,1.0\n"
)
TRACK = "0.5\t1.0\tcall\n\\\t2000.5\t-1.0\n1.25\t1.25\tpoint\n2\t3\n"


@pytest.fixture
def read(tmp_path):
    """Function that writes a table and returns what is read from it, without the place in the table."""

    def call(name, content, **how):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return [(a.file, a.start, a.end, a.low_hz, a.high_hz, a.label) for a in read_annotations(path, **how)]

    return call


def test_raven_selection_in_two_views_is_one_and_its_time_is_that_in_the_file(read):
    assert read("t.txt", RAVEN) == [
        ("one.wav", 1.5, 2.25, 2000.0, 4000.0, "wren"),
        ("two.wav", 1.0, 2.0, 500.0, 900.0, '"so-called" owl'),
    ]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("a.b_1.Table.1.selections.txt", "a.b_1"),
        ("a.b_1.selections.txt", "a.b_1"),
        ("a.b_1.Band.Limited.Energy.Detector.selections.txt", "a.b_1"),
        ("a.b_1.BirdNET.selection.table.txt", "a.b_1"),
        ("5146.240601.txt", "5146.240601"),
    ],
)
def test_table_without_recordings_belongs_to_the_recording_in_its_name(read, name, file):
    content = "Selection\tBegin Time (s)\tEnd Time (s)\tSpecies\n1\t0.5\t1\tEATO\n"
    assert read(name, content) == [(file, 0.5, 1.0, None, None, "EATO")]


def test_audacity_label_track_with_frequencies_and_points(read):
    assert read("rec.txt", TRACK) == [
        ("rec", 0.5, 1.0, 2000.5, None, "call"),
        ("rec", 1.25, 1.25, None, None, "point"),
        ("rec", 2.0, 3.0, None, None, ""),
    ]


def test_tables_of_birdnet_analyzer(read):
    merle = "Eurasian Blackbird"
    assert read("rec.BirdNET.selection.table.txt", BIRDNET_RAVEN) == [("C:\\in\\rec.wav", 3, 6, 0, 15000, merle)]
    assert read("rec.BirdNET.results.csv", BIRDNET_CSV) == [("/in/rec.wav", 3, 6, None, None, merle)]
    track = read("rec.BirdNET.results.txt", f"3.0\t6.0\tTurdus merula, {merle}\t0.8710\n")
    assert track == [("rec", 3, 6, None, None, f"Turdus merula, {merle}")]
    assert read("rec.BirdNET.results.kaleidoscope.csv", KALEIDOSCOPE) == [("in/rec.wav", 3, 6, None, None, merle)]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("file,start,end,label\na.wav,1,2.5,wren\n", ("a.wav", 1, 2.5, None, None, "wren")),
        ("filename;start;end;low_hz;label\na.wav;1,5;2,5;;wren\n", ("a.wav", 1.5, 2.5, None, None, "wren")),
        ("label,onset_s,offset_s,notated_path\n1,0.5,0.75,None\n", ("table", 0.5, 0.75, None, None, "1")),
        ("sound.files,selec,start,end,bottom.freq,top.freq\na.wav,1,0,1,1.5,3\n", ("a.wav", 0, 1, 1500, 3000, "")),
        ('"file"\t"start"\t"end"\t"what"\n"a.wav"\t1\t2\t"a ""b"""\n', ("a.wav", 1, 2, None, None, 'a "b"')),
        ("file,start,end,label,type\na.wav,1,2,,3\n", ("a.wav", 1, 2, None, None, "3")),
    ],
)
def test_tables_of_spreadsheets_and_of_other_programs(read, content, expected):
    assert read("table.csv", content) == [expected]
    assert read("table.csv", codecs.BOM_UTF16_LE + content.encode("utf-16-le")) == [expected]
    assert read("table.csv", codecs.BOM_UTF8 + content.replace("\n", "\r\n").encode()) == [expected]


def test_file_in_which_nothing_is_annotated_has_no_annotation(read):
    assert read("t.csv", "file,start,end,label\na.wav,,,\nb.wav,1,2,x\n") == [("b.wav", 1, 2, None, None, "x")]


def test_label_column_is_chosen(read):
    content = "file,start,end,label,sex\na.wav,1,2,wren,f\n"
    assert [row[-1] for row in read("t.csv", content, column="sex")] == ["f"]
    with pytest.raises(InputError, match=r"--label-column age: .* has no such column; it has file, start, end, label"):
        read("t.csv", content, column="age")


def test_folder_of_tables(read, tmp_path):
    read("in/rec.txt", TRACK)
    read("in/other.csv", "file,start,end\na.wav,1,2\n")
    (tmp_path / "in" / "BirdNET_analysis_params.csv").write_text("File splitting duration,Segment length\n600,3.0\n")
    lines = []
    found = read_annotations(tmp_path / "in", say=lines.append)
    assert [(a.file, a.table, a.line) for a in found] == [
        ("a.wav", "other", 2),
        ("rec", "rec", 1),
        ("rec", "rec", 3),
        ("rec", "rec", 4),
    ]
    assert lines == ["--annotations: ignored 1 file without annotations: BirdNET_analysis_params.csv"]


def test_folder_of_a_survey_is_refused_because_it_has_the_sounds_in_several_tables(read, tmp_path):
    read("found/events.csv", "file,start,end\na.wav,1,2\n")
    (tmp_path / "found" / "survey.json").write_text("{}")
    with pytest.raises(InputError, match=r"the folder of a survey; wanted one of its tables, such as .*events\.csv"):
        read_annotations(tmp_path / "found")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file,start,end\na.wav,x,2\n", r"t\.csv: line 2: start 'x': wanted seconds"),
        ("file,start,end\na.wav,1,\n", r"line 2: end '': wanted seconds"),
        ("file,start,end\na.wav,nan,2\n", r"line 2: start 'nan'"),
        ("file,start,end\na.wav,3,2\n", r"line 2: the end 2 is before the start 3"),
        ("file,start,end\na.wav,3\n", r"line 2 has 2 cells, wanted 3"),
        ("file,label\na.wav,3\n", r"no columns of start and end, only file, label; wanted a Raven selection table"),
        ("1\tx\tcall\n", r"line 1: end 'x'"),
        ("0\t1\tcall\n\\\tx\t2\n", r"line 2: frequency 'x'"),
    ],
)
def test_faults_are_named_with_their_line(read, content, message):
    with pytest.raises(InputError, match=message) as error:
        read("t.csv", content)
    assert "\n" not in str(error.value)
