"""Training and evaluation without a folder write nothing but the cache of decoded fields."""

from __future__ import annotations

import os
import tempfile

import audiosae


def files_below(*folders):
    return sorted(path for folder in folders for path in folder.rglob("*"))


def test_training_without_a_folder_needs_no_temporary_folder(sounds, trained, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    monkeypatch.chdir(tmp_path)
    run = audiosae.train(sounds, hidden=12, epochs=8, workers=1)
    assert run.folder is None
    assert run.model.digest == audiosae.load_model(trained).digest
    assert files_below(tmp_path) == []


def test_refit_and_stability_need_no_temporary_folder(sounds, trained, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    labels = tmp_path / "labels.csv"
    labels.write_text("filename,label\n" + "".join(f"tone_{n:02d}.wav,{'ab'[n % 2]}\n" for n in range(12)))
    before = files_below(trained, tmp_path)
    model = audiosae.load_model(trained)
    evaluation = audiosae.evaluate(model, sounds, labels, baselines="none", refit=True, stability=1, workers=1)
    assert evaluation.stability is not None
    assert files_below(trained, tmp_path) == before


def test_a_read_only_temporary_folder_does_not_end_training(sounds, tmp_path, monkeypatch):
    folder = tmp_path / "read-only"
    folder.mkdir()
    folder.chmod(0o500)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    try:
        assert audiosae.train(sounds, hidden=4, epochs=1, workers=1).history
        assert os.listdir(folder) == []
    finally:
        folder.chmod(0o700)
