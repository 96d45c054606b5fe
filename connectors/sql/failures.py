"""What a database's own error means for us: try later, give up with a hint, or one row that it refuses."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
import sqlalchemy as sa

from migrator.core.errors import ConnectorError, FatalError, RetryableError


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a database refuses one row: a short stable code, the field when it names one, and its own words."""

    code: str
    message: str
    field: str | None = None


_CONSTRAINT_STATES = {
    "23502": "constraint.not-null",
    "23503": "constraint.foreign-key",
    "23505": "constraint.unique",
    "23514": "constraint.check",
    "23P01": "constraint.exclusion",
    "23001": "constraint.foreign-key",
    "21000": "key.duplicate",
    "22001": "value.too-long",
    "22003": "value.range",
    "22008": "value.range",
    "22021": "value.character",
    "22P05": "value.character",
    "44000": "constraint.check",
}
_ROW_CLASSES = {"22": "value.type", "23": "constraint", "44": "constraint.check", "P0": "trigger"}

_RETRYABLE_STATES = {
    "40001": "the database could not serialise this transaction",
    "40P01": "the database broke a deadlock",
    "55P03": "a lock could not be had",
    "57014": "the statement was cancelled or took too long",
    "57P01": "the server is shutting down",
    "57P02": "the server is recovering from a crash",
    "57P03": "the server is starting up",
    "53200": "the server is out of memory",
    "53300": "the server has too many connections",
}
_FATAL_STATES = {
    "28": ("the database refuses the sign-in", "check user and password of the system's url"),
    "3D000": ("there is no such database", "check the database name in the system's url, or create it"),
    "3F000": ("there is no such schema", "check the setting schema, or create it"),
    "42501": ("the database user may not do this", "grant the privilege, or use another user"),
    "42P01": ("there is no such table", "run again so that it is created, or check its name"),
    "42P10": ("the key has no unique index", "add a UNIQUE constraint on the key column"),
    "25006": ("the database is read-only", "connect to the primary, or take read_only off"),
    "53100": ("the database's disk is full", "free space on the server and run again"),
}
_SQLITE_CONSTRAINTS = {
    "SQLITE_CONSTRAINT_NOTNULL": "constraint.not-null",
    "SQLITE_CONSTRAINT_UNIQUE": "constraint.unique",
    "SQLITE_CONSTRAINT_PRIMARYKEY": "constraint.unique",
    "SQLITE_CONSTRAINT_ROWID": "constraint.unique",
    "SQLITE_CONSTRAINT_FOREIGNKEY": "constraint.foreign-key",
    "SQLITE_CONSTRAINT_CHECK": "constraint.check",
    "SQLITE_CONSTRAINT_TRIGGER": "trigger",
    "SQLITE_CONSTRAINT_DATATYPE": "value.type",
    "SQLITE_MISMATCH": "value.type",
    "SQLITE_TOOBIG": "value.too-long",
}
_SQLITE_FATAL = {
    "SQLITE_READONLY": (
        "the database file is read-only",
        "make the file and its folder writable, or choose another",
    ),
    "SQLITE_FULL": ("the disk is full", "free space and run again: nothing half-written was kept"),
    "SQLITE_CANTOPEN": (
        "the database file cannot be opened",
        "check that the path is right, and that its folder exists and is writable",
    ),
    "SQLITE_NOTADB": ("the file is not an SQLite database", "check the path in the system's url"),
    "SQLITE_CORRUPT": ("the database file is damaged", "restore it from a backup"),
    "SQLITE_PERM": ("the database file may not be read or written", "check the file's permissions"),
    "SQLITE_AUTH": ("the database file may not be read or written", "check the file's permissions"),
    "SQLITE_IOERR": ("the disk does not read or write as it should", "check the disk and its free space"),
}
_UNREACHABLE = re.compile(
    r"could not connect|connection refused|could not translate host|name or service not known|resolve host|"
    r"temporary failure|timeout|timed out|server closed the connection|no such file or directory|is not running|"
    r"network is unreachable|getaddrinfo|connection reset|the connection is (closed|lost)|lost connection",
    re.IGNORECASE,
)
_SIGN_IN = re.compile(r"authentication failed|no password supplied|role \".*\" does not exist", re.IGNORECASE)
_NO_DATABASE = re.compile(r"database \".*\" does not exist", re.IGNORECASE)


def native(error: BaseException) -> BaseException:
    """The driver's own exception inside SQLAlchemy's, or the error itself."""
    if isinstance(error, sa.exc.DBAPIError) and error.orig is not None:
        return error.orig
    return error


def refusal(error: BaseException) -> Refusal | None:
    """What `error` says about one row, or None when it is not about rows at all."""
    inner = native(error)
    match inner:
        case psycopg.Error():
            return _postgres_refusal(inner)
        case sqlite3.Error() | OverflowError():
            return _sqlite_refusal(inner)
        case _ if isinstance(error, (sa.exc.IntegrityError, sa.exc.DataError)):
            return Refusal(_generic_code(str(inner)), words(inner))
        case _:
            return None


def connector_error(error: BaseException, label: str) -> ConnectorError:
    """`error` as one of ours: what happened to the system `label`, in its own words, and what to do about it."""
    inner = native(error)
    match inner:
        case sqlite3.Error():
            return _sqlite_error(inner, label)
        case psycopg.Error():
            return _postgres_error(inner, label)
        case _:
            return _other_error(error, inner, label)


@contextmanager
def translated(label: str) -> Iterator[None]:
    """Turn what a driver raises inside into `FatalError` or `RetryableError`; ours pass through."""
    try:
        yield
    except (sa.exc.DBAPIError, sqlite3.Error, psycopg.Error) as error:
        raise connector_error(error, label) from error
    except sa.exc.SQLAlchemyError as error:
        raise FatalError(f"{label}: {words(error)}") from error


def words(error: BaseException) -> str:
    """The database's own message on one line, without SQLAlchemy's statement and parameters."""
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        parts = [error.diag.message_primary, error.diag.message_detail or ""]
        return " · ".join(part for part in parts if part)
    return " ".join(str(error).split()) or type(error).__name__


def _postgres_refusal(error: psycopg.Error) -> Refusal | None:
    state = error.sqlstate or ""
    code = _CONSTRAINT_STATES.get(state) or _ROW_CLASSES.get(state[:2])
    if code is None:
        return None
    return Refusal(code, words(error), error.diag.column_name or _named_in(error))


def _named_in(error: psycopg.Error) -> str | None:
    """The column a detail ('Key (email)=(…) already exists') or a COPY context ('…, column amount: …') names."""
    for text, pattern in (
        (error.diag.message_detail, r'Key \("?([^(),]+?)"?\)='),
        (error.diag.context, r"column (.+?): "),
    ):
        found = re.search(pattern, text or "")
        if found:
            return found[1]
    return None


def _sqlite_refusal(error: BaseException) -> Refusal | None:
    if isinstance(error, OverflowError):
        return Refusal("value.range", str(error))
    code = _SQLITE_CONSTRAINTS.get(getattr(error, "sqlite_errorname", "") or "")
    if code is None:
        return None
    message = words(error)
    named = re.search(r"constraint failed: [^,]*\.([^,]+)$", message)
    return Refusal(code, message, named[1] if named else None)


def _generic_code(message: str) -> str:
    lowered = message.lower()
    for sign, code in (
        ("foreign key", "constraint.foreign-key"),
        ("duplicate", "constraint.unique"),
        ("unique", "constraint.unique"),
        ("null", "constraint.not-null"),
        ("check", "constraint.check"),
        ("too long", "value.too-long"),
        ("truncat", "value.too-long"),
        ("out of range", "value.range"),
    ):
        if sign in lowered:
            return code
    return "constraint"


def _sqlite_error(error: sqlite3.Error, label: str) -> ConnectorError:
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return RetryableError(
            f"{label}: the database is locked by another program ({words(error)})",
            hint="close what has the file open, and run again",
        )
    for prefix, (meaning, hint) in _SQLITE_FATAL.items():
        if name.startswith(prefix):
            return FatalError(f"{label}: {meaning} ({words(error)})", hint=hint)
    return FatalError(f"{label}: {words(error)}")


def _postgres_error(error: psycopg.Error, label: str) -> ConnectorError:
    state, text = error.sqlstate or "", words(error)
    known = _FATAL_STATES.get(state) or _FATAL_STATES.get(state[:2]) or _sign_in(text)
    if known:
        return FatalError(f"{label}: {known[0]} ({text})", hint=known[1])
    if state in _RETRYABLE_STATES:
        return RetryableError(f"{label}: {_RETRYABLE_STATES[state]} ({text})", hint="run again")
    if state[:2] == "08" or (not state and isinstance(error, psycopg.OperationalError)):
        return _unreachable(label, text)
    return FatalError(f"{label}: {text}")


def _sign_in(text: str) -> tuple[str, str] | None:
    if _SIGN_IN.search(text):
        return _FATAL_STATES["28"]
    return _FATAL_STATES["3D000"] if _NO_DATABASE.search(text) else None


def _other_error(error: BaseException, inner: BaseException, label: str) -> ConnectorError:
    lost = isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated
    if lost or _UNREACHABLE.search(str(inner)):
        return _unreachable(label, words(inner))
    return FatalError(f"{label}: {words(inner)}")


def _unreachable(label: str, text: str) -> RetryableError:
    return RetryableError(
        f"{label}: the database cannot be reached ({text})",
        hint="check host and port of the system's url, and that the server runs; then run again",
    )
