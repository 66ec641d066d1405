"""Brings the tables to what this version of bouncer needs (Alembic, `migrations/versions`)."""

from alembic.command import upgrade
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from bouncer.errors import ConfigurationError


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", "bouncer.store:migrations")
    config.attributes["connection"] = connection
    return config


def migrate(connection: Connection) -> None:
    """Runs the migrations that are missing, in the transaction that is open.

    The caller holds a lock that no other process can hold. Raises ConfigurationError if a newer
    version of bouncer has written the database.
    """
    config = _config(connection)
    if not _is_current(connection, config):
        upgrade(config, "head")


def require_current(connection: Connection) -> None:
    """Raises ConfigurationError unless the tables are what this version needs."""
    if not _is_current(connection, _config(connection)):
        raise ConfigurationError(
            "store.url: the database was written by an older bouncer: run `bouncer db upgrade`"
        )


def _is_current(connection: Connection, config: Config) -> bool:
    scripts = ScriptDirectory.from_config(config)
    known = {script.revision for script in scripts.walk_revisions()}
    found = MigrationContext.configure(connection).get_current_revision()
    if found is not None and found not in known:
        raise ConfigurationError(
            f"store.url: the database was written by a newer bouncer (its schema is {found!r}): "
            "run that version, or use another database"
        )
    return found == scripts.get_current_head()
