"""Statements that are written once and run on both databases."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

_INSERTS: Mapping[str, Callable[[Table], Any]] = {
    "sqlite": sqlite.insert,
    "postgresql": postgresql.insert,
}


class Insert:
    """An insert with ON CONFLICT, which SQLAlchemy has once for each database."""

    def __init__(self, table: Table, build: Callable[[Any], Any]) -> None:
        self._by_dialect: dict[str, Any] = {
            name: build(insert(table)) for name, insert in _INSERTS.items()
        }

    def on(self, connection: Connection) -> Any:
        """The statement for this connection's database."""
        return self._by_dialect[connection.dialect.name]

    def sqlite_text(self, columns: list[str]) -> str:
        """The SQL for sqlite3 itself, with `:column` for each value."""
        dialect = sqlite.dialect(paramstyle="named")
        return str(self._by_dialect["sqlite"].compile(dialect=dialect, column_keys=columns))
