"""All gateways in one process, `huikan gateway run`: FTP, the watched folder, cameras; and the thread that sends on.

Off by default: each is switched on by its own setting, or by the first camera that is written down.
"""

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import structlog

from archive.errors import HuikanError
from archive.settings import Settings
from ingest.camera import CameraGateway, cameras
from ingest.ftp import FtpGateway
from ingest.runtime import open_catalog, open_store
from ingest.spool import Spool
from ingest.watched import WatchedFolder
from ingest.worker import only_one

log = structlog.get_logger()

_DELIVER_EVERY_S = 2.0
_LOOK_EVERY_S = 5.0
PORT_FILE = "ftp-port"  # below the spool: which port an automatic one became


def wanted(settings: Settings) -> bool:
    """Whether any gateway is switched on, or left something to be sent on."""
    spool = Spool(settings)
    return (
        settings.ftp_port is not None
        or settings.watched_folder is not None
        or bool(cameras(settings))
        or bool(spool.waiting())
    )


def run_gateways(settings: Settings, *, endpoint: str = "") -> None:
    """Until SIGTERM or SIGINT. Raises Misconfigured when a port is taken or another process is at it."""
    stop = threading.Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)
    catalog, store, spool = open_catalog(settings), open_store(settings, endpoint), Spool(settings)
    with only_one(spool.folder() / "lock"):
        catalog.migrate()
        ftp = FtpGateway(settings, catalog, spool) if settings.ftp_port is not None else None
        if ftp is not None:
            (spool.root / PORT_FILE).write_text(str(ftp.port))
            threading.Thread(target=ftp.run, name="ftp", daemon=True).start()
            log.info("FTP gateway listens", host=settings.ftp_host, port=ftp.port, tls=bool(settings.ftp_certificate))
        if settings.watched_folder is not None:
            folder = WatchedFolder(Path(settings.watched_folder).absolute(), spool)
            _every(_LOOK_EVERY_S, stop, "watched folder", folder.look)
        pulling = CameraGateway(settings, spool)
        _every(_LOOK_EVERY_S, stop, "cameras", pulling.mind)
        _every(_DELIVER_EVERY_S, stop, "deliver", lambda: spool.deliver(store, catalog))
        stop.wait()
        pulling.stop()
        if ftp is not None:
            ftp.stop()
        catalog.close()


def _every(seconds: float, stop: threading.Event, name: str, act: Callable[[], object]) -> None:
    def loop() -> None:
        while not stop.is_set():
            try:
                act()
            except (HuikanError, OSError) as error:
                log.warning("will try again", what=name, reason=str(error))
            except Exception:  # a gateway must not end for one file or one answer; what it was is in the log
                log.exception("a gateway failed in a way nobody foresaw", what=name)
            stop.wait(seconds)

    threading.Thread(target=loop, name=name, daemon=True).start()
