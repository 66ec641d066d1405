"""Statements that are written once and run on both databases.

On SQLite they are compiled once and given to the driver: SQLAlchemy would take longer over most of
them than SQLite. Many rows go into one statement, as each lets other threads have the interpreter
and waits for it afterwards.
"""

import json
import sqlite3
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    JSON,
    ColumnElement,
    Connection,
    Executable,
    LargeBinary,
    Table,
    Text,
    bindparam,
    cast,
    column,
    func,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.compiler import SQLCompiler

from bouncer.store.schema import Moment, microseconds, moment

_ROWS_TOGETHER = 64

_INSERTS: Mapping[str, Callable[[Table], Any]] = {
    "sqlite": sqlite.insert,
    "postgresql": postgresql.insert,
}

Row = Mapping[str, Any]
Among = Callable[[ColumnElement[str], str], ColumnElement[bool]]


class Insert:
    """An insert with ON CONFLICT, which SQLAlchemy has once for each database."""

    def __init__(self, table: Table, build: Callable[[Any], Any]) -> None:
        self._table = table
        self._by_dialect: dict[str, Any] = {
            name: build(insert(table)) for name, insert in _INSERTS.items()
        }
        self._build = build
        self._postgresql = cache(self._from_json)
        self._sqlite: Callable[[frozenset[str]], _SqliteInsert] = cache(
            lambda columns: _SqliteInsert(table, self._by_dialect["sqlite"], columns)
        )

    def on(self, connection: Connection) -> Any:
        """The statement for this connection's database."""
        return self._by_dialect[connection.dialect.name]

    def rows(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Writes rows that all have the same columns."""
        if not rows:
            return
        if connection.dialect.name == "sqlite":
            self._sqlite(frozenset(rows[0])).run(driver_of(connection), rows)
        elif any(isinstance(self._table.c[name].type, LargeBinary) for name in rows[0]):
            connection.execute(self.on(connection), rows)
        else:
            connection.execute(self._postgresql(frozenset(rows[0])), {"rows": _json(rows)})

    def new(self, connection: Connection, rows: Sequence[Row]) -> set[str]:
        """Writes the rows whose ids are not there yet; those ids."""
        if not rows:
            return set()
        if connection.dialect.name != "sqlite":
            return {row.id for row in self.returning(connection, rows, "id")}
        ids = json.dumps([row["id"] for row in rows])
        # Nobody else writes meanwhile, so that these stay the ones that are there.
        known = driver_of(connection).execute(
            f"SELECT json_group_array(id) FROM {self._table.name} "  # noqa: S608 - a name of ours
            "WHERE id IN (SELECT value FROM json_each(?))",
            (ids,),
        )
        there = set(json.loads(known.fetchone()[0]))
        missing = [row for row in rows if row["id"] not in there]
        self.rows(connection, missing)
        return {row["id"] for row in missing}

    def returning(self, connection: Connection, rows: Sequence[Row], *names: str) -> Sequence[Any]:
        """Writes rows on PostgreSQL; of those that were not there, these columns."""
        statement = self._postgresql(frozenset(rows[0]), names)
        return connection.execute(statement, {"rows": _json(rows)}).all()

    def _from_json(self, names: frozenset[str], returning: tuple[str, ...] = ()) -> Any:
        """All rows in one value: SQLAlchemy's own way writes and reads a longer statement."""
        columns = [self._table.c[name] for name in sorted(names)]
        record = (
            func.json_to_recordset(cast(bindparam("rows", type_=Text), JSON))
            .table_valued(*(column(c.key, c.type) for c in columns))
            .render_derived(with_types=True)
        )
        insert = postgresql.insert(self._table).from_select(columns, select(*record.c))
        built = self._build(insert)
        return built.returning(*(self._table.c[name] for name in returning)) if returning else built


class _SqliteInsert:
    """The SQL of an insert of these columns, for any number of rows."""

    def __init__(self, table: Table, statement: Any, columns: frozenset[str]) -> None:
        compiled = statement.compile(
            dialect=sqlite.dialect(paramstyle="qmark"), column_keys=sorted(columns)
        )
        self._names: list[str] = compiled.positiontup
        one = f"({', '.join('?' * len(columns))})"
        self._begin, self._end = str(compiled).split(one)
        self._one = one
        self._moments = [
            position
            for position, name in enumerate(self._names)
            if isinstance(table.c[name].type, Moment)
        ]

    def run(self, driver: sqlite3.Connection, rows: Sequence[Row]) -> None:
        start = 0
        while start < len(rows):
            # Powers of two: the driver keeps the last statements prepared, if they are few.
            count = min(_ROWS_TOGETHER, 1 << (len(rows) - start).bit_length() - 1)
            sql = f"{self._begin}{', '.join([self._one] * count)}{self._end}"
            driver.execute(sql, self._values(rows[start : start + count]))
            start += count

    def _values(self, rows: Sequence[Row]) -> list[Any]:
        values = [row[name] for row in rows for name in self._names]
        for position in self._moments:
            for at in range(position, len(values), len(self._names)):
                values[at] = _stored(values[at])
        return values


class Statement:
    """A select, update or delete. `among` is given to write it: whether a column is in a list."""

    def __init__(self, write: Callable[[Among], Executable]) -> None:
        self._postgresql = write(_among_array)
        statement = write(_among_json)
        # Typed by what it really is: SQLAlchemy says no more than Compiled.
        compiled: Any = statement.compile(dialect=sqlite.dialect(paramstyle="named"))  # type: ignore[attr-defined]
        self._sql = str(compiled)
        self._constants = _constants(compiled)
        columns = getattr(statement, "selected_columns", ())
        self._row: Any = namedtuple("Row", [c.key for c in columns])  # type: ignore[misc]  # mypy wants literals
        self._moments = [at for at, c in enumerate(columns) if isinstance(c.type, Moment)]

    def run(self, connection: Connection, **values: Any) -> int:
        """Changes rows; how many."""
        if connection.dialect.name == "sqlite":
            return self._execute(connection, values).rowcount
        return connection.execute(self._postgresql, values).rowcount

    def rows(self, connection: Connection, **values: Any) -> Sequence[Any]:
        """What is selected: rows with an attribute for each column."""
        if connection.dialect.name != "sqlite":
            return connection.execute(self._postgresql, values).all()
        return [self._read(row) for row in self._execute(connection, values)]

    def _execute(self, connection: Connection, values: Row) -> sqlite3.Cursor:
        bound = {name: _stored(value) for name, value in values.items()}
        return driver_of(connection).execute(self._sql, self._constants | bound)

    def _read(self, row: Sequence[Any]) -> Any:
        values = list(row)
        for at in self._moments:
            values[at] = None if values[at] is None else moment(values[at])
        return self._row._make(values)


def driver_of(connection: Connection) -> sqlite3.Connection:
    """The connection of sqlite3 below SQLAlchemy's."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)  # noqa: S101 - tells mypy what sqlite gives
    return driver


def _among_json(column: ColumnElement[str], name: str) -> ColumnElement[bool]:
    each = func.json_each(bindparam(name, type_=Text)).table_valued("value")
    return column.in_(select(each.c.value))


def _among_array(column: ColumnElement[str], name: str) -> ColumnElement[bool]:
    return column == func.any(bindparam(name, type_=ARRAY(Text)))


def _constants(compiled: SQLCompiler) -> dict[str, Any]:
    """The values that stand in a statement, by their names in its text."""
    return {
        name: _stored(bound.effective_value)
        for bound, name in compiled.bind_names.items()
        if not bound.required
    }


def _json(rows: Sequence[Row]) -> str:
    return json.dumps([{name: _stored(value) for name, value in row.items()} for row in rows])


def _stored(value: Any) -> Any:
    """A value as SQLite keeps it."""
    if isinstance(value, datetime):
        return microseconds(value)
    return json.dumps(value) if isinstance(value, list) else value
