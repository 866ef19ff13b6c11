"""The catalog's database, SQLite or PostgreSQL by the same code: transactions, migrations, and what their errors mean.

Database trouble comes out as Unavailable; a lost commit is never reported as done.
"""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, Table, create_engine, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from archive.errors import Unavailable

_REMEDY_ZH = "请检查数据库是否在运行、数据盘是否已满，然后重试；不会丢失已上传的录像。"


def now() -> datetime:
    """Naive UTC, as the catalog stores instants."""
    return datetime.now(UTC).replace(tzinfo=None)


class Database:
    """One engine and the two ways to use it: `reading` and `writing`. The desks share it."""

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        self.url = parsed
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        if self.is_sqlite and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        self.engine = create_engine(parsed, pool_pre_ping=not self.is_sqlite, pool_size=10, max_overflow=10)
        if self.is_sqlite:
            _tame_sqlite(self.engine)

    @contextmanager
    def reading(self) -> Generator[Connection]:
        with _translated(), self.engine.connect() as raw:
            connection = raw.execution_options(huikan_reads=True)
            with connection.begin():
                yield connection

    @contextmanager
    def writing(self) -> Generator[Connection]:
        with _translated(), self.engine.begin() as connection:
            yield connection

    def insert(self, table: Table) -> "postgresql.Insert | sqlite.Insert":
        """An INSERT that knows ON CONFLICT in this database's dialect."""
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    def migrate(self) -> None:
        """Brings the schema to the newest revision. Safe to run from several processes at once."""
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
        with self.writing() as connection:
            if not self.is_sqlite:  # SQLite's BEGIN IMMEDIATE is already exclusive
                connection.execute(text("SELECT pg_advisory_xact_lock(7411922)"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def close(self) -> None:
        self.engine.dispose()


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except (OperationalError, PoolTimeout) as error:
        raise Unavailable("目录库", str(error.__cause__ or error).splitlines()[0], _REMEDY_ZH) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise Unavailable("目录库", "connection lost", _REMEDY_ZH) from error
        raise


def _tame_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:  # pyright: ignore[reportUnusedFunction]
        connection.isolation_level = None  # we say BEGIN ourselves, see below
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        # FULL, not NORMAL: the workflow engine keeps its own file, and after a power cut it must not know of a step
        # whose result the catalog has lost. 219 commits/s measured; a lesson needs some twenty.
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA busy_timeout=30000")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:  # pyright: ignore[reportUnusedFunction]
        # A deferred transaction that turns to writing fails at once when another wrote meanwhile; IMMEDIATE waits.
        reads = connection.get_execution_options().get("huikan_reads", False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
