"""A `Depot` that machines share: a folder of an object store, of HDFS or of a mounted disk, reached through fsspec.

A file is put there whole and under a name that no other machine gives, before the ledger vouches for it. So nothing there
is ever written over, and what a machine has of it never grows stale. `.ledger` says whose the place is.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, TypeVar, cast

from migrator.core import retry
from migrator.core.boundary import boundary
from migrator.core.clock import Clock, new_id
from migrator.core.errors import (
    FatalError,
    Location,
    MigratorError,
    Problem,
    ProjectError,
    RetryableError,
    SafetyStop,
    Severity,
)
from migrator.staging.depot import ONLY_HERE, SCRATCH, Depot, Wanted, is_here
from migrator.staging.engine import flush_and_rename

Answer = TypeVar("Answer")
MARK = ".ledger"
IN_FLIGHT = 8
"""Files brought at once: enough to hide the delay of each request, few enough for any store."""
_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "abfss": "adlfs", "az": "adlfs"}  # fmt: skip
"""Protocol → the package that speaks it, where fsspec alone does not."""
_WITH_FOLDERS = frozenset({"file", "local", "memory", "hdfs", "webhdfs", "sftp", "ssh", "smb", "ftp"})
"""Where a folder must be made before there can be a file in it; to ask an object store for one could make a bucket."""
_FOR_SPARK = {"s3": "s3a", "s3a": "s3a", "hdfs": "hdfs", "file": "file", "gs": "gs", "gcs": "gs", "abfs": "abfs", "abfss": "abfss"}  # fmt: skip
"""Protocol → what Hadoop, whose readers Spark's are, calls it."""
_UNUSABLE = frozenset({"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "TokenRetrievalError", "SSOError"})  # fmt: skip
"""What Amazon's client calls credentials that are not there, in classes that only it has."""
_BUGS = (TypeError, AttributeError, LookupError, AssertionError)


@dataclass(frozen=True, slots=True)
class StagingSettings:
    """`staging` of `migration.yaml`; secrets looked up."""

    place: str = ""
    """URL of the folder that machines share; '' for none."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What fsspec passes to the file system: credentials, endpoints."""

    @property
    def protocol(self) -> str:
        """'s3' of 's3://bucket/folder'."""
        return self.place.partition("://")[0].lower()


class SharedDepot:
    """`Depot` at a URL, for the datasets below `root` on this machine."""

    def __init__(self, settings: StagingSettings, root: Path, clock: Clock, policy: retry.RetryPolicy = retry.PATIENT) -> None:  # fmt: skip
        self._settings = settings
        self._root = root
        self._clock = clock
        self._policy = policy
        self._connected: tuple[Any, str] | None = None

    @property
    def _fs(self) -> Any:
        return self._connect()[0]

    def _connect(self) -> tuple[Any, str]:
        """The file system and the folder in it; asked for once, and not by a command that touches no file."""
        if self._connected is None:
            self._connected = connect(self._settings)
        return self._connected

    def _key(self, path: Path) -> str:
        inner = path.relative_to(self._root).as_posix()
        return f"{self._connect()[1]}/{inner}"

    def shown(self, path: Path) -> str:
        """A file as a person finds it there."""
        return f"{self._settings.place.rstrip('/')}/{path.relative_to(self._root).as_posix()}"

    def _ask(self, doing: str, attempt: Callable[[], Answer]) -> Answer:
        """Try it as often as the policy allows; `doing` says what for."""

        def once() -> Answer:
            with _translated(doing):
                return attempt()

        return retry.call(once, policy=self._policy, clock=self._clock)

    def named(self, file: str) -> str:
        """With a sign that no other file has: a machine that was taken for dead cannot write over a living one's."""
        stem, suffix = file.rsplit(".", 1)
        return f"{stem}~{new_id()}.{suffix}"

    def put(self, path: Path) -> None:
        """See `Depot.put`; a copy that came to another size is made again."""
        key, size = self._key(path), path.stat().st_size

        def attempt() -> None:
            self._make_folder(key)
            self._fs.put_file(str(path), key)
            self._flush(key)
            kept = int(self._fs.info(key)["size"])
            if kept != size:
                raise RetryableError(
                    f"{self.shown(path)} was cut: {kept:,} of {size:,} bytes arrived",
                    hint="run again; if it stays so, look at the quota and the network of the shared place",
                )

        self._ask(f"put {self.shown(path)}", attempt)
        boundary("depot.put")

    def _make_folder(self, key: str) -> None:
        if self._settings.protocol in _WITH_FOLDERS:
            self._fs.makedirs(str(PurePosixPath(key).parent), exist_ok=True)

    def _flush(self, key: str) -> None:
        """A mounted disk keeps what it was given only when it is told to; every other place answers when it has it."""
        if self._settings.protocol not in {"file", "local"}:
            return
        for path in (key, str(PurePosixPath(key).parent)):
            opened = os.open(path, os.O_RDONLY)
            try:
                os.fsync(opened)
            finally:
                os.close(opened)

    def bring(self, files: Sequence[Wanted]) -> None:
        """See `Depot.bring`."""
        missing = [item for item in files if not is_here(item)]
        if len(missing) < 2:
            for item in missing:
                self._bring(item)
            return
        with ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="bring") as pool:
            list(pool.map(self._bring, missing))

    def _bring(self, item: Wanted) -> None:
        shown = self.shown(item.place)
        temporary = item.place.with_name(f".{item.place.name}.{new_id()}.bringing")

        def attempt() -> None:
            self._fs.get_file(self._key(item.place), str(temporary))
            came = temporary.stat().st_size
            if came != item.bytes:
                raise RetryableError(
                    f"{shown} came with {came:,} of {item.bytes:,} bytes",
                    hint="if it stays so, it was changed there: put it back, or make the dataset anew",
                )

        try:
            item.place.parent.mkdir(parents=True, exist_ok=True)
            temporary.touch()
            self._ask(f"read {shown}", attempt)
            flush_and_rename(temporary, item.place)
        except OSError as error:
            raise FatalError(
                f"cannot write {item.place}: {error}",
                hint="is the disk full, or the project folder read-only?",
            ) from error
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    def sizes(self, folder: Path) -> Mapping[str, int]:
        """See `Depot.sizes`."""

        def attempt() -> dict[str, int]:
            try:
                listed = self._fs.ls(self._key(folder), detail=True)
            except FileNotFoundError:
                return {}
            return {PurePosixPath(one["name"]).name: int(one["size"]) for one in listed if one["type"] == "file"}  # fmt: skip

        return self._ask(f"list {self.shown(folder)}", attempt)

    def open(self, path: Path) -> BinaryIO:
        """See `Depot.open`."""
        return cast("BinaryIO", self._ask(f"read {self.shown(path)}", lambda: self._fs.open(self._key(path), "rb")))  # fmt: skip

    def url(self, path: Path) -> str | None:
        """See `Depot.url`."""
        scheme = _FOR_SPARK.get(self._settings.protocol)
        _, rest = self._settings.place.split("://", 1)
        inner = path.relative_to(self._root).as_posix()
        return None if scheme is None else f"{scheme}://{rest.rstrip('/')}/{inner}"

    def settle(self, path: Path) -> None:
        """See `Depot.settle`."""
        self._ask(f"keep {self.shown(path)}", lambda: self._flush(self._key(path)))

    def claim(self, identity: str, vouched: Callable[[], Sequence[Wanted]]) -> None:
        """See `Depot.claim`; raises `SafetyStop` for the place of another ledger, and for one with files and no mark."""
        mark = self._root / MARK
        owner = self._owner(mark)
        if owner is None:
            self._move_in(vouched())
            self._ask(f"write {self.shown(mark)}", lambda: self._write(mark, identity))
            owner = self._owner(mark)
        if owner != identity:
            raise SafetyStop(
                f"the staged data in {self._settings.place} belongs to another ledger",
                hint="give each project a folder of its own in `staging`, or set `ledger` back to the database it was made with",
            )

    def _owner(self, mark: Path) -> str | None:
        def attempt() -> str | None:
            try:
                return cast("bytes", self._fs.cat_file(self._key(mark))).decode("ascii", "replace").strip()
            except FileNotFoundError:
                return None

        return self._ask(f"read {self.shown(mark)}", attempt)

    def _write(self, path: Path, text: str) -> None:
        self._make_folder(self._key(path))
        self._fs.pipe_file(self._key(path), text.encode())
        self._flush(self._key(path))

    def _move_in(self, vouched: Sequence[Wanted]) -> None:
        """A project that had only its own folder until now brings with it what it has."""
        there = self._files()
        known = {item.place for item in vouched}
        strange = [path for path in there if path not in known and SCRATCH not in path.parts]
        if strange:
            raise SafetyStop(
                f"{self._settings.place} holds files of datasets ({self.shown(strange[0])}) but not the mark {MARK}",
                hint="whose are they? name another folder in `staging`, or empty this one if they are nobody's",
            )
        for item in vouched:
            if there.get(item.place) != item.bytes and is_here(item):
                self.put(item.place)

    def _files(self) -> dict[Path, int]:
        """All files in folders of datasets, by the paths that they have here → bytes."""

        def attempt() -> dict[str, Any]:
            try:
                return cast("dict[str, Any]", self._fs.find(self._connect()[1], detail=True))
            except FileNotFoundError:
                return {}

        found = self._ask(f"list {self._settings.place}", attempt)
        base = f"{self._connect()[1]}/"
        inner = {name.removeprefix(base): one for name, one in found.items() if name.startswith(base)}
        return {self._root / name: int(one["size"]) for name, one in inner.items() if _is_ours(name)}

    def sweep(self, known: Mapping[str, Set[str]]) -> None:
        """See `Depot.sweep`."""
        folders: set[Path] = set()
        for path in self._files():
            inner = path.relative_to(self._root).parts
            if inner[2] not in known:
                folders.add(self._root.joinpath(*inner[:3]))
            elif len(inner) > 4 or path.name not in known[inner[2]]:
                self.delete(path)
        for folder in sorted(folders):
            self.delete(folder)

    def delete(self, path: Path) -> None:
        """See `Depot.delete`."""

        def attempt() -> None:
            with suppress(FileNotFoundError):
                self._fs.rm(self._key(path), recursive=True)

        self._ask(f"delete {self.shown(path)}", attempt)


def _is_ours(name: str) -> bool:
    """Whether a file is in a folder of a dataset, or in what a cluster makes on the way."""
    inner = PurePosixPath(name).parts
    return len(inner) > 3 or (len(inner) == 3 and inner[0] == SCRATCH)


def depot_at(settings: StagingSettings, root: Path, clock: Clock) -> Depot:
    """What keeps the datasets below `root` where the settings say; nothing is asked of it yet."""
    return SharedDepot(settings, root, clock) if settings.place else ONLY_HERE


def connect(settings: StagingSettings) -> tuple[Any, str]:
    """The file system of a URL and the folder in it; raises `FatalError` when it cannot be had on this machine."""
    if find_spec("fsspec") is None:
        raise FatalError(
            f"staging on {settings.place} needs fsspec, which is not installed",
            hint="pip install 'crm-migrator[shared]'",
        )
    import fsspec

    try:
        fs, folder = fsspec.core.url_to_fs(settings.place, use_listings_cache=False, **settings.options)
    except ImportError as error:
        package = _PACKAGES.get(settings.protocol, "")
        needed = "'crm-migrator[shared]'" if package == "s3fs" else package or "what it names"
        raise FatalError(
            f"staging on {settings.place} needs a package that is not installed: {error}",
            hint=f"pip install {needed}",
        ) from error
    except (TypeError, ValueError, OSError) as error:
        raise FatalError(
            f"staging on {settings.place} cannot be opened: {error}",
            hint="is the URL right, and does the file system take every one of staging.options?",
        ) from error
    return fs, str(folder).rstrip("/")


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    """What a file system raises, in classes that only its library knows, as an error of ours."""
    try:
        yield
    except (*_BUGS, MigratorError):
        raise
    except FileNotFoundError as error:
        raise FatalError(
            f"cannot {doing}: it is not there ({_first_line(error)})",
            hint="is the bucket or the folder right, or was something deleted there by hand?",
        ) from error
    except Exception as error:
        if isinstance(error, PermissionError | ValueError) or type(error).__name__ in _UNUSABLE:
            raise FatalError(
                f"cannot {doing}: it is refused ({_first_line(error)})",
                hint="look at staging.options in migration.yaml, and what its credentials may do:"
                " they must be allowed to list, read, write and delete",
            ) from error
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EROFS}:
            raise FatalError(f"cannot {doing}: {error}", hint="is there a full disk, or one that is read-only?") from error  # fmt: skip
        raise RetryableError(
            f"cannot {doing}: {type(error).__name__}: {_first_line(error)}",
            hint="is the shared place up and reachable from here? run again: what was written is kept",
        ) from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


def check_staging(settings: StagingSettings, place: Location, clock: Clock) -> tuple[Problem, ...]:
    """Write, list, read and delete a file there; returns warnings, raises `ProjectError` with what does not work."""
    if not settings.place:
        return ()
    root = Path("/")
    depot = SharedDepot(settings, root, clock, retry.RetryPolicy(attempts=2))
    probe = root / f".check-{new_id()}" / "probe"
    try:
        depot._ask(f"write {depot.shown(probe)}", lambda: depot._write(probe, "probe"))
        with depot.open(probe) as stream:
            read = stream.read()
        listed = depot.sizes(probe.parent)
        depot.delete(probe.parent)
        left = depot.sizes(probe.parent)
    except MigratorError as error:
        raise ProjectError.at(place, error.message, error.hint) from error
    if read != b"probe" or listed != {"probe": 5} or left:
        raise ProjectError.at(
            place, f"{settings.place} does not give back what it was given: {listed} before, {left} after it was deleted",
            "staging needs a place where a file that was written can be listed and read at once",
        )  # fmt: skip
    return tuple(_of_versions(settings, place))


def _of_versions(settings: StagingSettings, place: Location) -> Iterator[Problem]:
    """An S3 bucket may keep what is deleted; who may not ask it is told nothing."""
    fs, folder = connect(settings)
    if not hasattr(fs, "call_s3"):
        return
    with suppress(OSError, NotImplementedError):
        answer = fs.call_s3("get_bucket_versioning", Bucket=folder.partition("/")[0])
        if answer.get("Status"):
            yield Problem(
                place, f"the bucket of {settings.place} keeps versions of what is deleted, persons who were erased among them",
                "take a bucket without versioning, or one whose lifecycle rule ends old versions in time",
                Severity.WARNING, "staging.versions",
            )  # fmt: skip
