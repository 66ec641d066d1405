"""Files that an operator names: what cannot be read is said, and nothing keeps us waiting."""

import os
from pathlib import Path

import pytest

from bouncer.files import octets_of


def test_a_file_is_read_through_links(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"x\xff")
    (tmp_path / "link").symlink_to("data")
    assert octets_of(tmp_path / "link") == b"x\xff"


def test_what_is_not_there_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        octets_of(tmp_path / "none")


def test_a_link_to_nothing_is_told_from_nothing(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("root@host.1:17")
    with pytest.raises(OSError, match=r"links to root@host\.1:17, which is not there"):
        octets_of(tmp_path / "link")


def test_a_link_to_itself_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("link")
    with pytest.raises(OSError, match="symbolic links"):
        octets_of(tmp_path / "link")


@pytest.mark.timeout(10)
def test_what_may_never_end_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(OSError, match="no regular file"):
            octets_of(path)
    with pytest.raises(OSError, match="a directory"):
        octets_of(tmp_path)


def test_a_name_that_no_file_can_have_is_an_error() -> None:
    with pytest.raises(OSError, match="no file can have this name"):
        octets_of(Path("a\0b"))
