"""Which files are read for rules, and what is said of those that cannot be."""

import os
from pathlib import Path

import pytest

from bouncer.classify.rulefile import files_of, read_all

RULE = """
[[rule]]
id = "mine.frobnicated"
category = "policy"
pattern = 'frobnicat(ed|ion)'
examples = ["550 5.7.1 Your mail was frobnicated"]
source = "our own experience"
"""


def texts(*places: Path) -> list[str]:
    """Every fault of these places, by the name of the file."""
    return [f"{fault.file.name}: {fault.text}" for fault in read_all(places)[1]]


class TestWhichFiles:
    def test_those_of_a_directory_in_the_order_of_their_names(self, tmp_path: Path) -> None:
        for name in ("b.toml", "a.toml", "notes.txt", "c.toml~"):
            (tmp_path / name).write_text("")
        assert [path.name for path in files_of([tmp_path])[0]] == ["a.toml", "b.toml"]

    def test_an_editors_lock_is_none(self, tmp_path: Path) -> None:
        (tmp_path / "own.toml").write_text(RULE)
        (tmp_path / ".#own.toml").symlink_to("root@host.1:17")
        assert files_of([tmp_path]) == ([tmp_path / "own.toml"], [])

    def test_a_hidden_file_that_is_named_is_one(self, tmp_path: Path) -> None:
        hidden = tmp_path / ".own"
        hidden.write_text(RULE)
        files, faults = read_all([hidden])
        assert ([file.path for file in files], faults) == ([hidden], [])

    def test_one_that_is_named_twice_is_there_once(self, tmp_path: Path) -> None:
        for name in ("a.toml", "b.toml"):
            (tmp_path / name).write_text("")
        found, _ = files_of([tmp_path / "b.toml", tmp_path, tmp_path / "." / "b.toml"])
        assert [path.name for path in found] == ["b.toml", "a.toml"]


@pytest.mark.timeout(10)
class TestWhatCannotBeRead:
    def test_a_link_to_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "x.toml").symlink_to("nowhere")
        assert texts(tmp_path) == [
            "x.toml: cannot be read: it links to nowhere, which is not there"
        ]

    def test_a_directory_and_a_pipe(self, tmp_path: Path) -> None:
        (tmp_path / "x.toml").mkdir()
        os.mkfifo(tmp_path / "y.toml")
        assert texts(tmp_path) == [
            "x.toml: cannot be read: it is a directory",
            "y.toml: cannot be read: it is no regular file",
        ]

    def test_a_place_that_is_not_there(self, tmp_path: Path) -> None:
        assert texts(tmp_path / "none") == ["none: is not there"]

    def test_a_name_that_no_file_can_have(self) -> None:
        assert texts(Path("a\0b")) == ["a\0b: no file can have this name"]

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("a = " + "[" * 3000, "is nested too deeply"),
            ("a = " + "{a = " * 3000, "is nested too deeply"),
            ("a = [", "is not TOML"),
            ("a = " + "9" * 5000, "is not TOML"),
            ("a = 2026-13-45", "is not TOML"),
        ],
    )
    def test_what_is_not_toml(self, tmp_path: Path, text: str, told: str) -> None:
        (tmp_path / "x.toml").write_text(text)
        (fault,) = texts(tmp_path)
        assert told in fault

    def test_octets_that_are_no_text(self, tmp_path: Path) -> None:
        (tmp_path / "x.toml").write_bytes(b"\x00\xff")
        (fault,) = texts(tmp_path)
        assert "is not TOML" in fault
