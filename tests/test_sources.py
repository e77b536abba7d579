"""Search for sources: which files are found, their order, and their printable names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from audiosae.autoencoder.model import load_model
from audiosae.corpus.sources import printable, scan, stand_in
from audiosae.errors import InputError
from audiosae.recordings.date_headers import header_times
from audiosae.system.files import has_facts, signature

SUFFIXES = (".wav", ".flac")


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names(arguments, suffixes=SUFFIXES):
    return [source.name for source in scan(arguments, suffixes)]


def test_folders_are_searched_recursively_in_order_of_name(tmp_path):
    touch(tmp_path, "b.wav", "z/deep/er/a.wav", "a.flac", "z/b.wav", "a/c.wav")
    assert names([tmp_path]) == ["a.flac", "a/c.wav", "b.wav", "z/b.wav", "z/deep/er/a.wav"]


def test_suffixes_match_in_upper_and_lower_case(tmp_path):
    touch(tmp_path, "a.WAV", "b.Flac", "c.txt", "wav", "d.wav.bak", ".wav")
    assert names([tmp_path]) == ["a.WAV", "b.Flac"]


def test_a_file_given_by_name_is_used_with_any_suffix(tmp_path):
    touch(tmp_path, "a.dat", "b.wav")
    (source,) = scan([tmp_path / "a.dat"], SUFFIXES)
    assert (source.name, source.path, source.fault) == ("a.dat", tmp_path / "a.dat", "")


def test_names_have_the_folder_if_several_are_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, "one/a.wav", "two/a.wav", "c.txt")
    assert names([Path("two"), Path("one"), Path("c.txt")]) == ["c.txt", "one/a.wav", "two/a.wav"]


def test_the_order_of_the_arguments_does_not_matter(tmp_path):
    touch(tmp_path, "one/a.wav", "two/a.wav")
    roots = [tmp_path / "one", tmp_path / "two"]
    assert scan(roots, SUFFIXES) == scan(roots[::-1], SUFFIXES)


def test_a_file_given_twice_is_one_source(tmp_path):
    touch(tmp_path, "in/a.wav", "in/b.wav")
    found = scan([tmp_path, tmp_path / "in", tmp_path / "in" / "a.wav", tmp_path / "in" / "a.wav"], SUFFIXES)
    assert [source.path.name for source in found] == ["a.wav", "b.wav"]


def test_a_missing_path_is_reported(tmp_path):
    with pytest.raises(InputError, match=r"^no such file or folder: .*/nowhere$"):
        scan([tmp_path, tmp_path / "nowhere"], SUFFIXES)


def test_without_sources_the_error_has_suffixes_and_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, "birds/in/a.txt", "birds/b.png")
    with pytest.raises(InputError) as caught:
        scan([Path("birds")], SUFFIXES)
    wanted = "no .wav or .flac under birds/ (looked in 2 folders); for pictures add --domain images"
    assert str(caught.value) == wanted


def test_without_sources_of_a_plugin_the_error_mentions_recordings(tmp_path):
    with pytest.raises(InputError, match=r"no \.png under .* \(looked in 1 folder\); .* omit --domain"):
        scan([tmp_path], (".png",), domain="images")


def test_a_long_list_of_suffixes_is_shortened(tmp_path):
    with pytest.raises(InputError, match=r"^no \.a, \.b, \.c, \.d or \.\.\. under"):
        scan([tmp_path], (".a", ".b", ".c", ".d", ".e", ".f"))


def test_a_folder_linked_into_itself_is_searched_once(tmp_path):
    touch(tmp_path, "in/a.wav")
    (tmp_path / "in" / "again").symlink_to(tmp_path, target_is_directory=True)
    assert names([tmp_path]) == ["in/a.wav"]


def test_links_to_folders_and_files_are_followed(tmp_path):
    touch(tmp_path, "elsewhere/a.wav", "elsewhere/data", "root/.keep")
    (tmp_path / "root" / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "root" / "b.wav").symlink_to(tmp_path / "elsewhere" / "data")
    assert names([tmp_path / "root"]) == ["b.wav", "link/a.wav"]


def test_an_unreadable_folder_is_a_source_with_a_fault(tmp_path, monkeypatch):
    touch(tmp_path, "a.wav", "locked/b.wav")
    scandir = os.scandir

    def refuse(path):
        if os.fspath(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # simulated, because root may read everything
    assert [(s.name, s.fault) for s in scan([tmp_path], SUFFIXES)] == [
        ("a.wav", ""),
        ("locked", "unreadable folder: Permission denied"),
    ]


def test_names_with_line_breaks_and_invalid_bytes_are_one_printable_line(tmp_path):
    for name in (b"line\nbreak.wav", b"caf\xe9.wav", b"tab\t\x1b[31m.wav", 'quote" \u00fc\u2028.wav'.encode()):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).touch()
    found = names([tmp_path])
    assert sorted(found) == [
        "caf\\xe9.wav",
        "line\\nbreak.wav",
        'quote" ü\\u2028.wav',
        "tab\\t\\x1b[31m.wav",
    ]
    assert all(name.isprintable() for name in found)


def test_the_path_of_an_unusual_name_opens_the_file(tmp_path):
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9\n.wav")).write_bytes(b"here")
    (source,) = scan([tmp_path], SUFFIXES)
    assert source.path.read_bytes() == b"here"


def test_a_printable_path_is_unchanged():
    assert printable(Path("Vögel/ruf 1.wav")) == "Vögel/ruf 1.wav"


def test_files_without_a_suffix_are_counted_and_named(tmp_path):
    touch(tmp_path, "a.wav", ".hidden", "empty")
    for number in range(5):
        (tmp_path / f"REC{number}").write_bytes(b"RIFF")
    messages = []
    assert names([tmp_path]) == ["a.wav"]
    scan([tmp_path], SUFFIXES, say=messages.append)
    wanted = "skipped 5 files without a suffix: REC0, REC1, REC2 and 2 more; name a file as a SOURCE to use it"
    assert messages == [wanted]
    (tmp_path / "a.wav").unlink()
    with pytest.raises(InputError, match=r"^no \.wav or \.flac .*; skipped 5 files without a suffix: REC0, REC1, REC2"):
        scan([tmp_path], SUFFIXES)


def test_a_pipe_has_a_fault(tmp_path, make_pipe):
    touch(tmp_path, "a.wav")
    make_pipe(tmp_path / "b.wav")
    found = {source.name: source.fault for source in scan([tmp_path], SUFFIXES)}
    assert found == {"a.wav": "", "b.wav": "not a regular file"}
    assert scan([tmp_path / "b.wav"], SUFFIXES)[0].fault == "not a regular file"


def test_a_pipe_in_the_place_of_a_file_of_ours_is_not_read(tmp_path, make_pipe):
    make_pipe(tmp_path / "pipe")
    assert header_times(tmp_path / "pipe") == {}
    assert signature(tmp_path / "pipe") == ""
    assert not has_facts(tmp_path / "pipe", "seeds")
    with pytest.raises(InputError, match="wanted a regular file"):
        load_model(tmp_path / "pipe")


def test_pointers_of_version_control_are_recognised(tmp_path):
    pointer = tmp_path / "a.wav"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    assert stand_in(pointer) == "a pointer of Git LFS, not the file: `git lfs pull` fetches it"
    pointer.write_text("/annex/objects/SHA256E-s9--0.wav\n")
    assert stand_in(pointer).startswith("a pointer of git-annex")
    pointer.write_text("version 1")
    assert stand_in(pointer) == ""


def test_skipped_suffixes_are_reported_once_with_counts(tmp_path):
    touch(tmp_path, "a.wav", "b.m4a", "c/d.M4A", "notes.txt", ".DS_Store", ".hidden.m4a", "README")
    messages = []
    scan([tmp_path], SUFFIXES, say=messages.append)
    assert messages == ["skipped by suffix: .m4a (2), .txt (1); name a file as a SOURCE to use it"]
    scan([tmp_path / "a.wav"], SUFFIXES, say=messages.append)
    assert len(messages) == 1
