"""Digests of texts in Spark SQL; importing it completes the rules of `spark`."""

from __future__ import annotations

from sqlglot import exp

from migrator.staging.dialects import spark_text
from migrator.staging.dialects.kinds import TEXT, Base, NotCarried
from migrator.staging.dialects.piece import Piece, fails_of
from migrator.staging.dialects.spark import Expressions, rule

_BASE64 = r"\A(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?\z"


@rule(exp.MD5)
def _md5(scope: Expressions, node: exp.Expr) -> Piece:
    value = scope.piece(node.this)
    if value.type.base not in (Base.TEXT, Base.NULL):
        raise NotCarried(f"md5 of a {value.type}")
    return Piece(f"md5({value.sql})", TEXT, value.fails)


@rule(exp.SHA2)
def _sha256(scope: Expressions, node: exp.Expr) -> Piece:
    """Of a text, or of the bytes that a text holds in base64; null where it holds none and that is tried."""
    if node.args["length"].name != "256":
        raise NotCarried("a digest of another length than 256")
    tried = isinstance(node.this, exp.Try)
    inner = node.this.this if tried else node.this
    if not isinstance(inner, exp.FromBase64):
        value = scope.piece(node.this)
        if value.type.base not in (Base.TEXT, Base.NULL):
            raise NotCarried(f"sha256 of a {value.type}")
        return Piece(f"sha2({value.sql}, 256)", TEXT, value.fails)
    if not tried:
        raise NotCarried("from_base64 without TRY")
    value = scope.piece(inner.this)

    def digest(text: str) -> str:
        return f"CASE WHEN {text} RLIKE {spark_text.text(_BASE64)} THEN sha2(unbase64({text}), 256) END"

    return Piece(spark_text.let(digest, value.sql), TEXT, fails_of(value))
