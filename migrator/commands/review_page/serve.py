"""Serves the review page to this machine, in a thread of its own, until its reader ends it or the command is stopped."""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn

from migrator.commands.review import Review
from migrator.commands.review_page.app import HOST, ReviewSite
from migrator.core.errors import FatalError


@dataclass(frozen=True, slots=True)
class ServedPage:
    """A page that answers at `url`, which holds its secret."""

    url: str
    _thread: threading.Thread

    def wait(self) -> None:
        """Until its reader ends it."""
        while self._thread.is_alive():
            self._thread.join(0.2)


@contextmanager
def served(review: Review, project: str, *, language: str = "en", port: int = 0) -> Iterator[ServedPage]:
    """Serve the page of a sitting; port 0 takes a free one. Raises `FatalError` when the port is taken."""
    line = _listening(port)
    token = secrets.token_urlsafe(24)
    ended = threading.Event()
    site = ReviewSite(review, project, token, language, ended.set)
    config = uvicorn.Config(
        site.app(), log_level="critical", access_log=False, proxy_headers=False, server_header=False, http="h11",
        ws="none", lifespan="off", timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [line]}, daemon=True, name="review")
    thread.start()
    watch = threading.Thread(target=_stop_when, args=(ended, server), daemon=True)
    watch.start()
    while not server.started and thread.is_alive():
        time.sleep(0.005)
    try:
        yield ServedPage(f"http://{HOST}:{line.getsockname()[1]}/{token}/", thread)
    finally:
        ended.set()
        thread.join(5)
        line.close()


def _stop_when(ended: threading.Event, server: uvicorn.Server) -> None:
    ended.wait()
    server.should_exit = True


def _listening(port: int) -> socket.socket:
    # its protocol is named: without, asyncio leaves Nagle on, and every answer waits 40 ms for an acknowledgement
    line = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        line.bind((HOST, port))
    except OSError as error:
        line.close()
        raise FatalError(
            f"cannot listen on {HOST}:{port}: {error.strerror}", hint="take another --port"
        ) from error
    return line
