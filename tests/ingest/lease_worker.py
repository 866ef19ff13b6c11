"""A worker for test_engine.py, run as a process of its own: `lease_worker.py ENGINE_URL CATALOG_URL NAME FILE [linger]`.

Its one workflow writes its worker's name into FILE; told to linger it then waits for ever, as a long encode would.
"""

import sys
import threading
from pathlib import Path

from dbos import DBOS, DBOSConfiguredInstance

from archive.database import Database
from ingest import engine


@DBOS.dbos_class(engine.CLASS_NAME)
class Lingering(DBOSConfiguredInstance):
    def __init__(self, name: str, file: Path, *, lingers: bool) -> None:
        super().__init__(engine.INSTANCE_NAME)
        self._name, self._file, self._lingers = name, file, lingers

    @DBOS.workflow(name="intake")
    def intake(self, key: str) -> str:
        return self._write(key)

    @DBOS.step(name="write")
    def _write(self, key: str) -> str:
        with self._file.open("a", encoding="utf-8") as out:
            out.write(f"{self._name} {key}\n")
        if self._lingers:
            threading.Event().wait()
        return self._name


def main() -> None:
    engine_url, catalog_url, name, file, *rest = sys.argv[1:]
    Lingering(name, Path(file), lingers="linger" in rest)
    database = Database(catalog_url)
    lease = engine.Lease(database, name, ttl_s=1.5)
    lease.beat()
    engine.launch(engine_url, name, engine.Limits())
    sys.stdout.write("up\n")
    sys.stdout.flush()
    while True:
        lease.beat()
        lease.reap()
        threading.Event().wait(0.3)


if __name__ == "__main__":
    main()
