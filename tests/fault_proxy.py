"""A small TCP proxy that makes the faults of a network: flipped bytes, cut connections, silence, errors in the server's name."""

import contextlib
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class FaultProxy:
    """Passes everything on, until told otherwise. Counts the connections it took."""

    upstream: str
    endpoint: str = ""
    connections: int = 0
    flip_sent: bytes = b""  # the first of these bytes on the way to the server arrives with one bit changed
    cut_answer_after_bytes: int | None = None
    silent: bool = False  # takes requests, never answers
    answer: bytes = b""  # sent instead of asking the server
    _sockets: list[socket.socket] = field(default_factory=list[socket.socket])

    def serve(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the listener is closed: the test is over
            while True:
                client, _ = listener.accept()
                self.connections += 1
                self._sockets.append(client)
                threading.Thread(target=self._handle, args=(client,), daemon=True).start()

    def _handle(self, client: socket.socket) -> None:
        if self.answer:
            with contextlib.suppress(OSError):
                client.recv(2**16)
                client.sendall(self.answer)
                client.close()
            return
        if self.silent:
            return
        host, _, port = self.upstream.partition(":")
        server = socket.create_connection((host, int(port)))
        self._sockets.append(server)
        threading.Thread(target=self._pass, args=(server, client, False), daemon=True).start()
        self._pass(client, server, True)

    def _pass(self, source: socket.socket, sink: socket.socket, to_server: bool) -> None:  # noqa: FBT001
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(2**16):
                if to_server and self.flip_sent and self.flip_sent in data:
                    at = data.index(self.flip_sent)
                    data = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
                passed += len(data)
                if not to_server and self.cut_answer_after_bytes is not None and passed > self.cut_answer_after_bytes:
                    sink.sendall(data[: self.cut_answer_after_bytes - passed])
                    break
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        for open_socket in self._sockets:
            open_socket.close()


@contextmanager
def fault_proxy(upstream: str) -> Generator[FaultProxy]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = FaultProxy(upstream, f"127.0.0.1:{listener.getsockname()[1]}")
        threading.Thread(target=proxy.serve, args=(listener,), daemon=True).start()
        try:
            yield proxy
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            proxy.close()
