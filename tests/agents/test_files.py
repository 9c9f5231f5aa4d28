"""Whatever bears its own name is whole."""

import os

import pytest

from murphy_agents import files


def test_a_file_is_there_whole_or_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "config.json"
    files.write_atomically(path, "old")
    monkeypatch.setattr(os, "replace", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        files.write_atomically(path, "new and longer")
    assert path.read_text() == "old"


@pytest.mark.parametrize("old", [None, "old"])
def test_a_folder_appears_whole_or_not_at_all(old, tmp_path):
    folder = tmp_path / "checkpoint-1"
    if old:
        files.fill_atomically(folder, lambda into: (into / "model").write_text(old))

    def fill(into):
        (into / "model").write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        files.fill_atomically(folder, fill)
    assert folder.exists() == bool(old)
    assert old is None or (folder / "model").read_text() == old
    files.remove_unfinished(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == (["checkpoint-1"] if old else [])


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    folder = tmp_path / "final"
    files.fill_atomically(folder, lambda into: (into / "one").write_text("1"))
    files.fill_atomically(folder, lambda into: (into / "two").write_text("22"))
    assert files.sizes(tmp_path) == {"final/two": 2}


def test_what_is_written_reaches_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    done = []
    sync, replace = os.fsync, os.replace

    def named(descriptor):
        done.append(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", named)
    monkeypatch.setattr(os, "replace", lambda *paths: done.append("rename") or replace(*paths))

    def fill(into):
        (into / "sub").mkdir()
        (into / "sub" / "deep").write_text("1")

    files.fill_atomically(tmp_path / "final", fill)
    assert sorted(done[:3]) == ["deep", "final.unfinished", "sub"]
    assert done[3:] == ["rename", tmp_path.name]
    done.clear()
    files.write_atomically(tmp_path / "a", "text")
    assert done == ["a.unfinished", "rename", tmp_path.name]


def test_a_folder_loses_its_name_before_its_files(tmp_path, monkeypatch):
    folder = tmp_path / "checkpoint-1"
    folder.mkdir()
    (folder / "model").write_text("x")
    monkeypatch.setattr(files.shutil, "rmtree", lambda *_, **__: None)  # killed before it begins
    files.remove(folder)
    assert not folder.exists()
    assert [path.name.endswith(files.UNFINISHED) for path in tmp_path.iterdir()] == [True]


def test_links_are_removed_and_not_what_they_lead_to(tmp_path):
    (tmp_path / "model").mkdir()
    for name in ("final", "final.unfinished"):
        (tmp_path / name).symlink_to(tmp_path / "model")
    files.remove(tmp_path / "final")
    files.remove(tmp_path / "never there")
    files.remove_unfinished(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
