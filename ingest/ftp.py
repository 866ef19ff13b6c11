"""The FTP gateway: each recorder in a folder of its own, where it may put files and look at what it has put.

It may not read, delete or leave its folder. With a certificate everything is encrypted (FTPS, explicit), and nothing else is
taken. FTP says neither how long a file is nor that it is whole: an end of the connection is all there is. A file counts as
whole when its sender went on after it (another command, or QUIT), or gave it its last name; one whose sender fell silent
waits for it to resume (REST, APPE) and is taken as it is after a quarter of an hour.
"""

# pyftpdlib has no types; this file is its only home.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

import logging
import os
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import structlog

from archive.catalog import Catalog
from archive.errors import HuikanError, Misconfigured, Rejected
from archive.recorders import Recorder
from archive.settings import Settings
from ingest.naming import is_taken
from ingest.spool import Spool

with warnings.catch_warnings():  # of asyncore, which it runs on; for Python 3.12 its makers bring their own
    warnings.simplefilter("ignore", DeprecationWarning)
    from pyftpdlib.authorizers import AuthenticationFailed
    from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler
    from pyftpdlib.ioloop import IOLoop
    from pyftpdlib.servers import FTPServer

log = structlog.get_logger()
logging.getLogger("pyftpdlib").setLevel(logging.WARNING)  # at INFO it writes down every command, names of files and all

# e: change folder, l: list, m: make one, w: store, a: append, f: rename. No r (read), no d (delete), no M (chmod).
_PERMISSIONS = "elmwaf"
_LINGER_S = 20.0  # a client may ask for the size of what it has just put
_SILENT_S = 15 * 60.0
_SWEEP_S = 1.0
_WRONG_PASSWORD_S = 3  # the answer to one comes so late; passwords are 80 random bits
_CONNECTIONS, _CONNECTIONS_EACH = 200, 20


class FtpGateway:
    """Listens from `__init__` on; `run` serves until `stop`. `port` is the one it has."""

    def __init__(self, settings: Settings, catalog: Catalog, spool: Spool) -> None:
        self._settings, self._spool = settings, spool
        self._desk = _Desk(catalog, spool, settings)
        handler = self._handler()
        address = (settings.ftp_host, settings.ftp_port or 0)
        self._loop = IOLoop()
        try:
            self._server = FTPServer(address, handler, ioloop=self._loop)
        except OSError as error:
            raise Misconfigured(f"cannot listen on {address[0]}:{address[1]} for FTP: {error}") from error
        self._server.max_cons, self._server.max_cons_per_ip = _CONNECTIONS, _CONNECTIONS_EACH
        self.port: int = self._server.address[1]
        self._stop = threading.Event()

    def run(self) -> None:
        swept_at = 0.0
        while not self._stop.is_set():
            self._loop.loop(0.5, blocking=False)  # not serve_forever, which logs each time that it is called
            if time.monotonic() - swept_at >= _SWEEP_S:
                swept_at = time.monotonic()
                self._desk.sweep()
        self._server.close_all()

    def stop(self) -> None:
        self._stop.set()

    def _handler(self) -> type[FTPHandler]:
        settings = self._settings
        certificate = settings.ftp_certificate
        if certificate is not None and not certificate.is_file():
            raise Misconfigured(f"HUIKAN_FTP_CERTIFICATE: {certificate} is no file")
        made: Any = type("Handler", (_Handling, TLS_FTPHandler if certificate else FTPHandler), {"desk": self._desk})
        made.authorizer = _Authorizer(self._desk)
        made.banner = "Huikan"
        made.auth_failed_timeout = _WRONG_PASSWORD_S
        made.use_sendfile = False
        made.permit_foreign_addresses = False
        if certificate is not None:
            made.certfile = str(certificate)
            made.tls_control_required = made.tls_data_required = True
        if settings.ftp_public_address:
            made.masquerade_address = settings.ftp_public_address
        if settings.ftp_passive_ports:
            made.passive_ports = passive_ports(settings.ftp_passive_ports)
        return made


def passive_ports(text: str) -> range:
    """`50000-50100` as a range. Raises Misconfigured."""
    first, _, last = text.partition("-")
    if not (first.isdigit() and last.isdigit() and 1024 <= int(first) <= int(last) <= 65535):
        raise Misconfigured(f"HUIKAN_FTP_PASSIVE_PORTS: {text!r} is no range such as 50000-50100")
    return range(int(first), int(last) + 1)


class _Desk:
    """Who is who, and which files are whole. Used by the server's one thread only."""

    def __init__(self, catalog: Catalog, spool: Spool, settings: Settings) -> None:
        self._catalog, self._spool, self._settings = catalog, spool, settings
        self._whole: dict[str, float] = {}  # path → when it may go (monotonic)
        self._looks: dict[Path, tuple[int, int, float]] = {}  # path → size, date, and since when (monotonic)

    def recorder(self, name: str, password: str) -> Recorder | None:
        """None for a wrong password, and for a machine that is revoked or over its quota."""
        try:
            machine = self._catalog.recorders.by_gateway_password(name, password)
        except HuikanError as error:
            log.warning("nobody can log in just now", reason=str(error))
            return None
        return machine if machine is not None and machine.suspended_at is None else None

    def home_of(self, name: str) -> Path:
        return self._spool.folder("ftp", name)

    def has_room(self) -> bool:
        return self._spool.has_room()

    def whole(self, path: str, *, linger_s: float) -> None:
        self._whole[path] = time.monotonic() + linger_s

    def begun_again(self, path: str) -> None:
        self._whole.pop(path, None)

    def sweep(self) -> None:
        """Takes what is whole, and what its sender has left alone for long; forgets what was given up."""
        found: set[Path] = set()
        for home in self._homes():
            for file in sorted(home.rglob("*")):
                if file.is_symlink() or not file.is_file():
                    continue
                found.add(file)
                self._look_at(home, file)
        self._looks = {file: look for file, look in self._looks.items() if file in found}

    def _homes(self) -> list[Path]:
        root = self._spool.root / "ftp"
        return [home for home in root.iterdir() if home.is_dir()] if root.is_dir() else []

    def _look_at(self, home: Path, file: Path) -> None:
        quiet_s = self._quiet_s(file)
        due = self._whole.get(str(file))
        if time.monotonic() < due if due is not None else quiet_s < _SILENT_S:
            return
        name = file.relative_to(home).as_posix()
        if not is_taken(file.name):
            if quiet_s > self._settings.abandoned_upload_h * 3600:
                file.unlink(missing_ok=True)
            return
        try:
            machine = self._catalog.recorders.get(home.name)
            key = self._spool.take(file, machine.prefix, name, machine.id)
        except Rejected as error:
            log.warning("a file in the FTP gateway is none of ours", recorder=home.name, reason=str(error))
        except HuikanError as error:
            log.warning("a file waits in the FTP gateway", recorder=home.name, reason=str(error))
            return
        else:
            log.info("taken from FTP", recorder=machine.id, key=key, whole=due is not None)
        self._whole.pop(str(file), None)

    def _quiet_s(self, file: Path) -> float:
        """For how long neither its size nor its date have changed while we watched: wall clocks jump."""
        status = file.stat()
        size, date, since = self._looks.get(file, (-1, -1, 0.0))
        if (size, date) != (status.st_size, status.st_mtime_ns):
            since = time.monotonic()
            self._looks[file] = (status.st_size, status.st_mtime_ns, since)
        return time.monotonic() - since


class _Authorizer:
    """What pyftpdlib asks about users. A user is a recorder's id; its folder is all it can see."""

    def __init__(self, desk: _Desk) -> None:
        self._desk = desk

    def validate_authentication(self, username: str, password: str, _handler: object) -> None:
        if self._desk.recorder(username, password) is None:
            raise AuthenticationFailed("Authentication failed.")

    def get_home_dir(self, username: str) -> str:
        return str(self._desk.home_of(username))

    def has_user(self, username: str) -> bool:
        return True  # who is known is not told before the password

    def has_perm(self, _username: str, perm: str, _path: str | None = None) -> bool:
        return perm in _PERMISSIONS

    def get_perms(self, _username: str) -> str:
        return _PERMISSIONS

    def get_msg_login(self, _username: str) -> str:
        return "Welcome."

    def get_msg_quit(self, _username: str) -> str:
        return "Goodbye."

    def impersonate_user(self, _username: str, _password: str) -> None: ...

    def terminate_impersonation(self, _username: str) -> None: ...


class _Handling:
    """What is ours in a connection; mixed into pyftpdlib's handler, plain or TLS."""

    desk: _Desk
    _unsure: list[str]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._unsure = []  # received, and its sender has not been heard of since
        super().__init__(*arguments, **options)

    def pre_process_command(self, line: str, cmd: str, arg: str) -> None:
        for path in self._unsure:  # it goes on: what it sent before is whole
            self.desk.whole(path, linger_s=_LINGER_S if cmd != "QUIT" else 0)
        self._unsure.clear()
        super().pre_process_command(line, cmd, arg)  # type: ignore[misc]

    def ftp_STOR(self, file: str, mode: str = "w") -> object:  # noqa: N802 — pyftpdlib's name
        if not self.desk.has_room():
            self.respond("452 Insufficient storage space.")  # type: ignore[attr-defined]
            return None
        self.desk.begun_again(file)
        return super().ftp_STOR(file, mode)  # type: ignore[misc]

    def ftp_RNTO(self, path: str) -> object:  # noqa: N802
        renamed: tuple[str, str] | None = super().ftp_RNTO(path)  # type: ignore[misc]
        if renamed is not None and os.path.isfile(path):  # noqa: PTH113
            self.desk.begun_again(renamed[0])
            self.desk.whole(path, linger_s=_LINGER_S)
        return renamed

    def on_file_received(self, file: str) -> None:
        self._unsure.append(file)
