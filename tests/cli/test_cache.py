"""`celda cache`: what it tells and removes, and what it says where it cannot."""

import pytest
from typer.testing import CliRunner

from celda.cli.app import app
from celda.cli.cache import size
from celda.engines.cpu import cache as kept
from celda.errors import CeldaError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CELDA_CACHE", str(tmp_path))
    monkeypatch.setattr("celda.cli.console.console._width", 1000)  # paths are not broken
    return tmp_path / "kernels"


def told(command):
    ended = CliRunner().invoke(app, ["cache", command], catch_exceptions=False)
    assert ended.exit_code == 0
    return ended.stdout.splitlines()


def fill(folder, *sizes):
    folder.mkdir()
    for number, count in enumerate(sizes):
        (folder / f"{number}.kernel").write_bytes(bytes(count))


def test_an_absent_folder_is_an_empty_one(folder):
    assert told("info") == [f"folder: {folder}", "compiled kernels: 0", "size: 0 bytes"]
    assert told("clear") == [f"removed 0 compiled kernels, 0 bytes, from {folder}"]
    assert not folder.exists()


def test_it_tells_what_is_there_and_removes_it_alone(folder):
    fill(folder, 1000, 2500)
    (folder / "notes.txt").write_text("mine")
    assert told("info") == [f"folder: {folder}", "compiled kernels: 2", "size: 3.5 kB"]
    assert told("clear") == [f"removed 2 compiled kernels, 3.5 kB, from {folder}"]
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_what_cannot_be_removed_is_told(folder, monkeypatch):
    fill(folder, 10)
    monkeypatch.setattr("pathlib.Path.unlink", lambda *_, **__: (_ for _ in ()).throw(PermissionError()))
    with pytest.raises(CeldaError, match="1 compiled kernels are still in"):
        told("clear")
    assert kept.info().entries == 1


def test_a_folder_that_cannot_be_written_is_told(folder, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: False)
    why = (
        "cannot be written (Permission denied), so every process compiles anew: set CELDA_CACHE to a folder of your own"
    )
    assert told("info")[-1] == why
    fill(folder, 10)
    assert told("info")[-1] == why


@pytest.mark.parametrize("command", ["info", "clear"])
def test_a_folder_that_cannot_be_read_is_an_error_that_says_what_to_do(folder, command):
    folder.write_text("a file")
    with pytest.raises(CeldaError, match=r"cannot be read \(Not a directory\): set CELDA_CACHE"):
        told(command)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (31_400_000, "31.4 MB"),
        (999_700, "1 MB"),
        (5 * 10**12, "5,000 GB"),
    ],
)
def test_sizes(count, text):
    assert size(count) == text
