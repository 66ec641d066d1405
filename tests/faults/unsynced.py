"""bouncer with SQLite's `synchronous=NORMAL`: what must be caught, and so no option of its own."""

from bouncer.cli.main import main
from bouncer.store import sqlite


def _unsynced(pragma: str) -> str:
    return pragma.replace("synchronous = FULL", "synchronous = NORMAL")


if __name__ == "__main__":
    pragmas = tuple(map(_unsynced, sqlite._PRAGMAS))
    assert pragmas != sqlite._PRAGMAS, "it is set somewhere else now"
    setattr(sqlite, "_PRAGMAS", pragmas)  # noqa: B010 - another length is another type
    main()
