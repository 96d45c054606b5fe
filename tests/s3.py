"""A real server of the S3 protocol on loopback, in a process of its own, with a bucket and keys that it knows."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from migrator.staging.shared import StagingSettings

BUCKET = "staging"


@dataclass(frozen=True, slots=True)
class S3:
    """One server."""

    port: int

    @property
    def options(self) -> dict[str, Any]:
        """What a project says under `staging.options`."""
        return {
            "key": "test",
            "secret": "test",
            "endpoint_url": f"http://127.0.0.1:{self.port}",
            "config_kwargs": {"retries": {"max_attempts": 1}, "connect_timeout": 2, "read_timeout": 5},
        }

    def settings(self, folder: str) -> StagingSettings:
        """A folder of its bucket."""
        return StagingSettings(f"s3://{BUCKET}/{folder}", self.options)

    def files(self) -> Any:
        """The bucket, seen without the code under test."""
        import s3fs

        return s3fs.S3FileSystem(use_listings_cache=False, skip_instance_cache=True, **self.options)


@contextmanager
def s3_server() -> Iterator[S3]:
    """A server until the block ends; it answers and has its bucket when this yields."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _await(process, port)
        server = S3(port)
        server.files().mkdir(BUCKET)
        yield server
    finally:
        process.kill()
        process.wait()


def _await(process: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the S3 server did not come up")
