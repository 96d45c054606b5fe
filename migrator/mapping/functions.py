"""The functions and operators an expression may use: a closed list, each with a line for the reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlglot import exp


@dataclass(frozen=True, slots=True)
class Function:
    """An allowed function: its node in the parsed tree, an example, and what it yields."""

    node: type[exp.Expr]
    example: str
    summary: str


FUNCTIONS: Mapping[str, Function] = {
    "abs": Function(exp.Abs, "abs(Amount)", "the number without its sign"),
    "ceil": Function(exp.Ceil, "ceil(Amount)", "the next whole number up"),
    "coalesce": Function(exp.Coalesce, "coalesce(Phone, MobilePhone)", "the first value that is not null"),
    "concat": Function(exp.Concat, "concat(FirstName, LastName)", "texts joined; nulls are left out"),
    "concat_ws": Function(
        exp.ConcatWs,
        "concat_ws(' ', FirstName, LastName)",
        "texts joined with a separator; nulls are left out",
    ),
    "contains": Function(exp.Contains, "contains(Name, 'Ltd')", "whether a text holds another"),
    "date_diff": Function(
        exp.DateDiff, "date_diff('day', StartDate, EndDate)", "units from the first to the second date"
    ),
    "date_trunc": Function(exp.TimestampTrunc, "date_trunc('month', CloseDate)", "the start of the unit"),
    "day": Function(exp.Day, "day(CloseDate)", "day of the month"),
    "ends_with": Function(exp.EndsWith, "ends_with(Email, '.cn')", "whether a text ends so"),
    "floor": Function(exp.Floor, "floor(Amount)", "the next whole number down"),
    "greatest": Function(exp.Greatest, "greatest(A, B)", "the greatest value; nulls are left out"),
    "if": Function(exp.If, "if(IsWon, 'won', 'open')", "one of two values"),
    "least": Function(exp.Least, "least(A, B)", "the least value; nulls are left out"),
    "left": Function(exp.Left, "left(Name, 80)", "the first characters"),
    "length": Function(exp.Length, "length(Name)", "number of characters"),
    "lower": Function(exp.Lower, "lower(Email)", "small letters"),
    "lpad": Function(exp.Pad, "lpad(Code, 6, '0')", "filled up at the start to a length"),
    "make_date": Function(exp.DateFromParts, "make_date(2024, 1, 31)", "a date from year, month, day"),
    "month": Function(exp.Month, "month(CloseDate)", "month, 1 to 12"),
    "nullif": Function(exp.Nullif, "nullif(Phone, '0')", "null when the two are equal"),
    "regexp_extract": Function(
        exp.RegexpExtract, "regexp_extract(Name, '([0-9]+)', 1)", "the part a pattern matches"
    ),
    "regexp_matches": Function(
        exp.RegexpLike, "regexp_matches(Phone, '^[+]86')", "whether a pattern is found"
    ),
    "regexp_replace": Function(
        exp.RegexpReplace, "regexp_replace(Phone, '[^0-9]', '', 'g')", "what a pattern matches, replaced"
    ),
    "replace": Function(exp.Replace, "replace(Name, '&amp;', '&')", "every occurrence replaced"),
    "reverse": Function(exp.Reverse, "reverse(Code)", "characters from last to first"),
    "right": Function(exp.Right, "right(Code, 4)", "the last characters"),
    "round": Function(exp.Round, "round(Amount, 2)", "rounded half away from zero"),
    "split_part": Function(
        exp.SplitPart, "split_part(Name, ' ', 1)", "one part of a text cut at a separator, from 1"
    ),
    "starts_with": Function(exp.StartsWith, "starts_with(Id, '003')", "whether a text begins so"),
    "strftime": Function(exp.TimeToStr, "strftime(CloseDate, '%Y-%m')", "a date or time as text"),
    "strpos": Function(exp.StrPosition, "strpos(Email, '@')", "where a text is found, from 1; 0 when not"),
    "substring": Function(exp.Substring, "substring(Code, 2, 3)", "characters from a position, from 1"),
    "translate": Function(exp.Translate, "translate(Code, 'áé', 'ae')", "characters replaced one by one"),
    "trim": Function(exp.Trim, "trim(Name)", "without spaces at both ends; also ltrim and rtrim"),
    "upper": Function(exp.Upper, "upper(Code)", "capital letters"),
    "year": Function(exp.Year, "year(CloseDate)", "year"),
}
"""Function → what an author may know of it; the order is that of the reference."""

LIMITS_ON_SPARK: Mapping[str, str] = {
    "date_diff": "years to days; hours to seconds of instants",
    "date_trunc": "years to seconds",
    "lpad": "a constant fills up",
    "regexp_extract": "constant patterns",
    "regexp_matches": "constant patterns",
    "regexp_replace": "constant patterns that match something",
    "round": "to digits behind the point",
    "split_part": "constant separators",
    "strftime": "constant formats",
}
"""Function → what of it is carried to Spark, where that is not all."""

LIMITS_ON_POSTGRES: Mapping[str, str] = {
    "date_diff": "years to days; hours to seconds of instants",
    "date_trunc": "years to seconds",
    "lpad": "a constant fills up",
    "regexp_extract": "constant patterns with one repetition, without alternatives",
    "regexp_matches": "constant patterns",
    "regexp_replace": "constant patterns that match something, with one repetition, without alternatives",
    "reverse": "Latin, Cyrillic, kana and Han letters and signs; other texts fail",
    "round": "to digits behind the point; floats to whole numbers",
    "split_part": "constant separators",
    "strftime": "constant formats",
}
"""Function → what of it is carried to PostgreSQL, where that is not all."""

OPERATORS: Mapping[str, tuple[type[exp.Expr], ...]] = {
    "+ - * / // %": (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.Neg),
    "||": (exp.DPipe,),
    "= <> < <= > >=": (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE),
    "and or not": (exp.And, exp.Or, exp.Not),
    "is null": (exp.Is, exp.Null),
    "is distinct from": (exp.NullSafeNEQ, exp.NullSafeEQ),
    "in (…)": (exp.In,),
    "between": (exp.Between,),
    "like ilike": (exp.Like, exp.ILike),
    "case when … then … else … end": (exp.Case,),
    "cast(… as TYPE), try_cast(… as TYPE)": (exp.Cast, exp.TryCast, exp.DataType, exp.DataTypeParam),
    "constants and parentheses": (exp.Literal, exp.Boolean, exp.Paren),
}
"""Operators as an author writes them → nodes of the tree."""

CAST_TYPES = frozenset(
    {
        exp.DType.TEXT, exp.DType.VARCHAR, exp.DType.INT, exp.DType.BIGINT, exp.DType.DECIMAL, exp.DType.DOUBLE,
        exp.DType.BOOLEAN, exp.DType.DATE, exp.DType.TIMESTAMP, exp.DType.TIMESTAMPNTZ, exp.DType.TIMESTAMPTZ,
        exp.DType.TIME,
    }
)  # fmt: skip
"""Types an expression may cast to."""

ALLOWED = frozenset(
    {exp.Column, exp.Identifier, exp.Var}
    | {item.node for item in FUNCTIONS.values()}
    | {node for nodes in OPERATORS.values() for node in nodes}
)
"""Every node an expression may consist of; whatever is not here is refused, also what a later parser adds."""
