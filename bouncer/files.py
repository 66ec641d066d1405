"""Files that an operator names: read so that nothing in their place keeps the service waiting."""

import errno
import os
import stat
from pathlib import Path


def octets_of(path: Path) -> bytes:
    """What is in a regular file, also through links. OSError says why it cannot be read.

    A pipe or a device is refused unread: it may never end.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        if not path.is_symlink():
            raise
        raise _unreadable(f"it links to {path.readlink()}, which is not there") from error
    except ValueError as error:
        raise _unreadable("no file can have this name") from error
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise _unreadable(
                "it is a directory" if stat.S_ISDIR(mode) else "it is no regular file"
            )
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)


def _unreadable(reason: str) -> OSError:
    return OSError(errno.EINVAL, reason)
