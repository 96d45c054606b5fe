"""A server that answers with exactly the bytes a test gives, so that answers no decent server sends can be sent."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Reply = Callable[[bytes], bytes | None]
"""Request → the bytes of the answer; None closes the connection without one."""


@dataclass
class RawServer:
    """Where it listens, and the requests it was sent."""

    address: str
    requests: list[bytes] = field(default_factory=list)


def answer(
    body: bytes | str, status: int = 200, *, length: int | None = None, **headers: str
) -> Callable[[bytes], bytes]:
    """The same answer to whatever request; `length` lies about the length of the body."""
    data = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} x", f"Content-Length: {len(data) if length is None else length}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    whole = ("\r\n".join([*lines, "Connection: close", "", ""])).encode() + data
    return lambda _: whole


@contextmanager
def raw_server(*replies: Reply) -> Iterator[RawServer]:
    """A server on loopback that gives each reply once, in order, the last one for ever."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = RawServer(f"http://127.0.0.1:{listening.getsockname()[1]}")
    thread = threading.Thread(target=_serve, args=(listening, server, replies), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(5)


def _serve(listening: socket.socket, server: RawServer, replies: tuple[Reply, ...]) -> None:
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        with connection:
            request = _request(connection)
            server.requests.append(request)
            said = replies[min(len(server.requests), len(replies)) - 1](request)
            if said is not None:
                try:
                    connection.sendall(said)
                except OSError:
                    continue  # the client has had enough


def _request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return data
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        ),
        0,
    )
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body
