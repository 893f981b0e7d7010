"""Whatever stops a program while it writes, what stood there stands, or the new is whole."""

import os
import time
from pathlib import Path

import pytest

from celda.errors import CeldaError
from celda.files import former, written_aside


class Killed(BaseException):
    """Stands for the end of the program: no `except` may see it, and nothing is tidied up after it."""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "part").write_text("old")
    return tmp_path / "model"


def write(folder, text):
    with written_aside(folder) as aside:
        aside.mkdir()
        (aside / "part").write_text(text)


def read(folder):
    return ((folder if folder.exists() else former(folder)) / "part").read_text()


def test_a_file_is_written_aside(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with written_aside(path) as aside:
        aside.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"

    def break_down():
        with written_aside(path) as aside:
            aside.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        break_down()
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_does_not_take_the_place_of_a_folder(folder):
    with pytest.raises(CeldaError, match="it is a folder: name a file in it"), written_aside(folder) as aside:
        aside.write_text("new")
    assert read(folder) == "old"
    assert list(folder.parent.iterdir()) == [folder]


def test_a_folder_takes_the_place_of_a_folder(folder):
    write(folder, "new")
    assert read(folder) == "new"
    assert list(folder.parent.iterdir()) == [folder]


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_a_program_killed_at_any_rename_leaves_one_whole_folder(renames, folder, monkeypatch):
    real, done = Path.replace, []

    def replace(self, target):
        if len(done) == renames:
            raise Killed
        done.append(target)
        return real(self, target)

    def forget(*_, **__):
        if len(done) == renames:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        if renames == 2:  # killed before the former one is deleted
            patch.setattr("celda.files.shutil.rmtree", forget)
        with pytest.raises(Killed):
            write(folder, "new")
    assert read(folder) == ("new" if renames == 2 else "old")
    with pytest.raises(CeldaError, match=r"Cannot write .*what stood there still stands"), written_aside(folder):
        raise OSError("No space left on device")
    assert read(folder) == ("new" if renames == 2 else "old")  # the next save does not delete the only copy
    write(folder, "third")
    assert read(folder) == "third"
    assert list(folder.parent.iterdir()) == [folder]


def test_a_folder_that_cannot_be_renamed_leaves_the_former_one_in_its_place(folder, monkeypatch):
    real = Path.replace

    def replace(self, target):
        if self.name.endswith(".aside"):
            raise OSError("Input/output error")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(CeldaError, match="Input/output error"):
        write(folder, "new")
    assert (folder / "part").read_text() == "old"
    assert list(folder.parent.iterdir()) == [folder]


def test_two_programs_that_write_one_path_do_not_meet(tmp_path):
    path = tmp_path / "file"
    with written_aside(path) as one:
        with written_aside(path) as other:
            other.write_text("other")
            one.write_text("one")
        assert path.read_text() == "other"
    assert path.read_text() == "one"


def test_what_a_killed_program_left_is_deleted_when_it_is_old(tmp_path):
    path, left, fresh = (tmp_path / name for name in ("file", ".file.0123.aside", ".file.4567.aside"))
    left.write_text("half")
    fresh.write_text("half")
    long_ago = time.time() - 86_400
    os.utime(left, (long_ago, long_ago))
    with written_aside(path) as aside:
        aside.write_text("whole")
    assert sorted(tmp_path.iterdir()) == [fresh, path]
