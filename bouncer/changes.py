"""Whether what the service runs by has changed: asked by SIGHUP, or seen on the disk."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

from bouncer.classify.rulefile import files_of
from bouncer.config import Config

_LOOK_SECONDS = 5.0

_State = tuple[tuple[str, int, int, int], ...]


class Changes:
    """`asked` is set when the configuration is to be read again."""

    def __init__(self, file: Path | None, look_seconds: float = _LOOK_SECONDS) -> None:
        self.asked = asyncio.Event()
        self._file = file
        self._look_seconds = look_seconds
        self._paths: tuple[Path, ...] = ()
        self._rules: tuple[Path, ...] = ()
        self._seen: _State = ()

    def follow(self, config: Config) -> None:
        """Looks from now on at the files of this configuration."""
        self._paths = tuple(_files(self._file, config))
        self._rules = config.rules.directories
        self._seen = self._state()

    async def watch(self) -> None:
        """Looks at them until cancelled. What changes twice between two looks changes once.

        A change counts when the next look finds the same: certificate and key are two files, and
        a half-written one is not worth reading.
        """
        pending: _State | None = None
        while True:
            await asyncio.sleep(self._look_seconds)
            state = self._state()
            if state == self._seen:
                pending = None
            elif state == pending:
                self._seen, pending = state, None
                self.asked.set()
            else:
                pending = state

    def _state(self) -> _State:
        rule_files, hidden = files_of(self._rules)
        return tuple(map(_stamp, (*self._paths, *rule_files, *(fault.file for fault in hidden))))


def _files(file: Path | None, config: Config) -> Iterator[Path]:
    if file is not None:
        yield file
    if config.smtp.tls:
        yield config.smtp.tls.certificate
        yield config.smtp.tls.key
    yield from (w.secret_file for w in config.webhooks if w.secret_file)


def _stamp(path: Path) -> tuple[str, int, int, int]:
    """What tells one state of a file from another; links are followed, as Kubernetes has them."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return str(path), 0, 0, 0
    return str(path), status.st_ino, status.st_mtime_ns, status.st_size
