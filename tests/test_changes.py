"""What counts as a change on the disk."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from bouncer.changes import Changes
from bouncer.config import Config, Rules


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "own.toml").write_text("")
    return folder


async def seen(changes: Changes) -> bool:
    """Whether a change is seen within some looks."""
    changes.asked.clear()
    watching = asyncio.create_task(changes.watch())
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(changes.asked.wait(), 0.2)
    assert not watching.done()
    watching.cancel()
    return changes.asked.is_set()


def following(directory: Path) -> Changes:
    changes = Changes(None, look_seconds=0.01)
    changes.follow(Config(rules=Rules(directories=(directory,))))
    return changes


async def test_a_new_file_and_one_that_is_gone(directory: Path) -> None:
    changes = following(directory)
    assert not await seen(changes)
    (directory / "new.toml").symlink_to("nowhere")
    assert await seen(changes)
    (directory / "own.toml").unlink()
    assert await seen(changes)


async def test_what_an_editor_puts_beside_a_file_is_no_change(directory: Path) -> None:
    changes = following(directory)
    (directory / ".#own.toml").symlink_to("root@host.1:17")
    (directory / "own.toml~").write_text("")
    assert not await seen(changes)


async def test_a_directory_that_goes_and_comes(directory: Path) -> None:
    changes = following(directory)
    for change in ((directory / "own.toml").unlink, directory.rmdir, directory.mkdir):
        change()
        assert await seen(changes)
