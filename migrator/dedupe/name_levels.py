"""How names of persons and companies may agree: their agreement in several languages, and what typing makes of a name."""

from __future__ import annotations

from dataclasses import replace

from migrator.dedupe import agreement
from migrator.dedupe.agreement import Agreement, Side, struct
from migrator.dedupe.features import Feature
from migrator.dedupe.levels import (
    Level,
    fewer_words,
    most_words,
    moved,
    nearly_all_words,
    shared_words,
    similar_words,
    slips,
    two_words,
)


def person_levels(item: Feature, equal: Level) -> tuple[Level, ...]:
    """A whole name. One word of several is not the name: family members and colleagues share one."""
    said, v = _said(item, agreement.name_levels), item.value
    return (
        Level("contradiction", said[Agreement.CONTRADICTION], 0.002, against=True),
        equal,
        Level("same in another script", said[Agreement.ACROSS], 0.02),
        Level("same in other words", _either(said, Agreement.SAME, Agreement.COMPATIBLE), 0.03),
        Level("alike", f"{slips(v, 1)} AND NOT {two_words(item)} AND NOT {_chinese(item)}", 0.05),
        Level("made shorter", said[Agreement.PART], 0.02),
        *moved(v),
        Level("one of the names", f"{shared_words(item)} > 0", 0.03, loose=True),
    )


def family_levels(item: Feature, equal: Level) -> tuple[Level, ...]:
    """A surname; it speaks for the whole name where that is in two scripts."""
    levels = similar_words(item)
    if item.apart is None:
        return (equal, *levels)
    said, crossing = _said(item, agreement.name_levels), in_two_scripts(item)
    across = f"{crossing} AND ({_either(said, Agreement.ACROSS, Agreement.COMPATIBLE)})"
    return (
        Level("contradiction", said[Agreement.CONTRADICTION], 0.002, against=True),
        equal,
        Level("same in another script", across, 0.02),
        Level("same in other words", _either(said, Agreement.SAME, Agreement.COMPATIBLE), 0.02),
        *levels,
    )


def given_levels(item: Feature, equal: Level) -> tuple[Level, ...]:
    """A given name, read beside its surname."""
    levels = similar_words(item)
    if item.apart is None:
        return (equal, *levels)
    said = _said(item, agreement.name_levels)
    other = _either(said, Agreement.SAME, Agreement.COMPATIBLE, Agreement.PART)
    return (equal, Level("same in other words", other, 0.04), *levels)


def company_levels(item: Feature, equal: Level) -> tuple[Level, ...]:
    """A company's name: a branch is not its parent, and a brand alone is not the company."""
    said = _said(item, agreement.company_levels)
    return (
        Level("contradiction", said[Agreement.CONTRADICTION], 0.01, against=True),
        equal,
        Level("same in another script", said[Agreement.ACROSS], 0.02),
        Level("same in other words", said[Agreement.SAME], 0.03),
        _unless(_other_brand(item), nearly_all_words(item)),
        Level("made shorter", said[Agreement.PART], 0.02),
        _unless(_other_brand(item), most_words(item)),
        *moved(item.value),
        Level("same brand", said[Agreement.OPEN], 0.01, loose=True),
        *(_unless(_other_brand(item), level) for level in fewer_words(item)),
    )


def _unless(condition: str, level: Level) -> Level:
    return replace(level, condition=f"NOT {condition} AND {level.condition}")


def _chinese(item: Feature) -> str:
    """SQL: both names are Chinese, in characters or in letters, where another syllable is another name and no slip."""
    left, right = _sides(item)
    written = f"{left('han')} IS NOT NULL AND {right('han')} IS NOT NULL"
    return f"coalesce(({written}) OR (len({left('pinyin')}) > 0 AND len({right('pinyin')}) > 0), false)"


def _other_brand(item: Feature) -> str:
    """SQL: two companies in Chinese characters of which neither brand is in the other; all their words besides are trade."""
    left, right = _sides(item)
    written = f"{left('han')} IS NOT NULL AND {right('han')} IS NOT NULL"
    one, other = left("brand"), right("brand")
    return f"coalesce({written} AND NOT contains({one}, {other}) AND NOT contains({other}, {one}), false)"


def in_two_scripts(item: Feature) -> str:
    """SQL: one of two names is in Chinese characters, and the other is not."""
    left, right = _sides(item)
    return f"coalesce(({left('han')} IS NULL) <> ({right('han')} IS NULL), false)"


def _sides(item: Feature) -> tuple[Side, Side]:
    return struct(f"a{item.apart}_l"), struct(f"a{item.apart}_r")


def _said(item: Feature, levels: agreement.Levels) -> dict[Agreement, str]:
    """Conditions by agreement; a later one holds only where none before it does."""
    left, right = _sides(item)
    missing = f"NOT ({agreement.is_missing(left, right)})"
    found: dict[Agreement, list[str]] = {}
    for level in levels(left, right):
        found.setdefault(level.agreement, []).append(level.condition)
    return {name: f"{missing} AND ({' OR '.join(conditions)})" for name, conditions in found.items()}


def _either(said: dict[Agreement, str], *wanted: Agreement) -> str:
    return " OR ".join(f"({said[name]})" for name in wanted)
