"""A running API for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.running import Api, running


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    """Open: no key is configured."""
    async with running(tmp_path) as started:
        yield started


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Api]:
    """With one key for each scope."""
    async with running(tmp_path, keys=True) as started:
        yield started
