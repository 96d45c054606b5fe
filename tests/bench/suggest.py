"""How good suggested mappings are: precision, recall and top-3 recall over labelled pairs of CRM objects, beside plain name likeness.

`python -m tests.bench.suggest` prints the table of docs/mapping.md; `--wrong` lists every line that is wrong or missing.
The schemas beside this file name the systems' standard fields; the pairs say what a consultant maps. A held-out file was
labelled after lexicon and weights were fixed, and nothing was changed for it since.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.mapping.suggest import THRESHOLD, suggest
from migrator.mapping.suggest_assign import assign
from migrator.mapping.suggest_words import load_lexicon

HERE = Path(__file__).parent
SCHEMAS, PAIRS = HERE / "suggest_schemas", HERE / "suggest_pairs"
TOP = 3

Ranking = Mapping[str, Sequence[str]]
"""Target field → source columns, the likeliest first."""
Matcher = Callable[[ObjectSchema, ObjectSchema], tuple[dict[str, str], Ranking]]
"""Two objects → what is proposed (target field → column), and the ranking behind it."""


@dataclass(frozen=True, slots=True)
class Case:
    """Two objects and which columns belong to which fields."""

    systems: tuple[str, str]
    source: ObjectSchema
    target: ObjectSchema
    gold: tuple[frozenset[tuple[str, str]], ...]
    """Each line a person would write, as the (column, field) pairs of which any one is right."""
    held_out: bool


@dataclass(frozen=True, slots=True)
class Score:
    """Counts of one case or of several together."""

    right: int
    """Proposed lines that a person would write."""
    found: int
    """Lines a person would write that are proposed, in one of their forms."""
    proposed: int
    gold: int
    in_top: int

    def __add__(self, other: Score) -> Score:
        return Score(
            self.right + other.right,
            self.found + other.found,
            self.proposed + other.proposed,
            self.gold + other.gold,
            self.in_top + other.in_top,
        )

    @property
    def precision(self) -> float:
        return self.right / self.proposed if self.proposed else 0.0

    @property
    def recall(self) -> float:
        return self.found / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0

    @property
    def top(self) -> float:
        return self.in_top / self.gold if self.gold else 0.0


def read_schemas(system: str) -> dict[str, ObjectSchema]:
    """The objects of a system from its text file."""
    found: dict[str, ObjectSchema] = {}
    name = label = key = ""
    fields: list[FieldSchema] = []
    for line in (SCHEMAS / f"{system}.txt").read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            name, label, key = line.strip("[]").split("|")
            fields = []
        else:
            fields.append(_field(*line.split("|")))
        found[name] = ObjectSchema(name, key, tuple(fields), label)
    return found


def _field(name: str, written: str, label: str = "", more: str = "") -> FieldSchema:
    kind = FieldType(written.rstrip("*!+"))
    listed = tuple(part for part in more.split(";") if part)
    pairs = [part.partition("=")[::2] for part in listed]
    choice = kind in (FieldType.PICKLIST, FieldType.MULTI_PICKLIST)
    return FieldSchema(
        name,
        kind,
        label,
        required="*" in written,
        unique="+" in written,
        read_only="!" in written,
        references=() if choice else listed,
        values=tuple(value for value, _ in pairs) if choice else (),
        labels={value: text for value, text in pairs if text} if choice else {},
    )


def cases() -> Iterator[Case]:
    """All labelled pairs, in both directions where the file says so."""
    for path in sorted(PAIRS.glob("*.yaml")):
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        first, second = raw["systems"]
        schemas = {system: read_schemas(system) for system in (first, second)}
        for item in raw["objects"]:
            mine, theirs = (
                schemas[system][name] for system, name in zip(raw["systems"], item["objects"], strict=True)
            )
            forward = item["fields"] | item.get("forward", {})
            yield Case((first, second), mine, theirs, _gold(forward, mine, theirs), raw["held_out"])
            if not raw.get("one_way"):
                back = _gold(item["fields"], mine, theirs, turned=True) + _gold(
                    item.get("back", {}), theirs, mine
                )
                yield Case((second, first), theirs, mine, back, raw["held_out"])


def _gold(
    raw: Mapping[str, Any], source: ObjectSchema, target: ObjectSchema, *, turned: bool = False
) -> tuple[frozenset[tuple[str, str]], ...]:
    """Lines that can be proposed: what cannot be written at the other side is not asked for."""
    found = []
    for column, named in raw.items():
        fields = [named] if isinstance(named, str) else list(named)
        pairs = [(source.field(column), target.field(name)) for name in fields]
        if any(one is None or other is None for one, other in pairs):
            raise ValueError(f"{source.name} → {target.name}: {column} or one of {fields} is no field")
        ordered = [(b, a) if turned else (a, b) for a, b in pairs if a and b]
        able = frozenset((one.name, other.name) for one, other in ordered if not other.read_only)
        if able:
            found.append(able)
    return tuple(found)


def ours(source: ObjectSchema, target: ObjectSchema) -> tuple[dict[str, str], Ranking]:
    """What `migrator map suggest` proposes."""
    found = suggest(load_lexicon(), source, target)
    return found.chosen, {
        line.target.name: [item.column.name for item in line.ranked] for line in found.lines
    }


def plain_names(source: ObjectSchema, target: ObjectSchema) -> tuple[dict[str, str], Ranking]:
    """The baseline: likeness of letters of names or labels, whichever is greater, with the same assignment."""
    from rapidfuzz import fuzz

    def letters(text: str) -> str:
        return "".join(char for char in text.lower() if char.isalnum())

    def likeness(a: FieldSchema, b: FieldSchema) -> float:
        pairs = ((a.name, b.name), (a.label, b.label))
        return max(fuzz.ratio(letters(x), letters(y)) / 100 for x, y in pairs if x and y)

    wanted = [item for item in target.fields if not item.read_only and item.name != target.key]
    scores = {(a.name, b.name): likeness(a, b) for a in source.fields if a.name != source.key for b in wanted}
    chosen = assign({pair: value for pair, value in scores.items() if value >= BASELINE_THRESHOLD})
    ranking = {
        b.name: sorted((a for a, other in scores if other == b.name), key=lambda a: -scores[a, b.name])
        for b in wanted
    }
    return chosen, ranking


BASELINE_THRESHOLD = 0.6
"""Where the baseline's F1 is best, of 0.6 to 0.85."""


def judge(case: Case, matcher: Matcher) -> tuple[Score, list[str]]:
    """The counts of one case, and each wrong or missing line in words."""
    chosen, ranking = matcher(case.source, case.target)
    pairs = {(column, target) for target, column in chosen.items()}
    right = {pair for pair in pairs if any(pair in line for line in case.gold)}
    told = [f"wrong    {column} → {target}" for column, target in pairs - right]
    told += [f"missing  {_words(line)}" for line in case.gold if line.isdisjoint(pairs)]
    found = sum(1 for line in case.gold if not line.isdisjoint(pairs))
    in_top = sum(
        1 for line in case.gold if any(column in list(ranking.get(name, ()))[:TOP] for column, name in line)
    )
    return Score(len(right), found, len(pairs), len(case.gold), in_top), sorted(told, reverse=True)


def _words(line: frozenset[tuple[str, str]]) -> str:
    return " or ".join(f"{column} → {target}" for column, target in sorted(line))


@dataclass(frozen=True, slots=True)
class LookAlike:
    """Two fields that look alike, and whether they are the same."""

    source: ObjectSchema
    target: ObjectSchema
    same: bool

    @property
    def words(self) -> str:
        """The two in words."""
        return f"{self.source.name}: {self.source.fields[0].name} / {self.target.fields[0].name}"


def look_alikes() -> tuple[LookAlike, ...]:
    """The adversarial pairs, each to be judged alone."""
    found = []
    for line in (PAIRS / "look_alikes.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, *cells, verdict = line.split("|")
            mine, theirs = (FieldSchema(cells[at], FieldType(cells[at + 2]), cells[at + 1]) for at in (0, 3))
            # a last name beside them says that the object is a person
            person = (FieldSchema("zz_last_name", FieldType.STRING),) if name in ("Contact", "User") else ()
            found.append(
                LookAlike(
                    ObjectSchema(name, "", (mine, *person)),
                    ObjectSchema(name, "", (theirs,)),
                    verdict == "same",
                )
            )
    return tuple(found)


def taken_for_the_same(pair: LookAlike, matcher: Matcher) -> bool:
    """Whether the two are proposed for each other."""
    return matcher(pair.source, pair.target)[0].get(pair.target.fields[0].name) == pair.source.fields[0].name


def _told_look_alikes() -> Iterator[str]:
    pairs = look_alikes()
    for name, matcher in (("suggest", ours), ("baseline", plain_names)):
        taken = [pair for pair in pairs if taken_for_the_same(pair, matcher)]
        wrong = [pair.words for pair in taken if not pair.same]
        right = sum(1 for pair in taken if pair.same)
        others, same = sum(1 for pair in pairs if not pair.same), sum(1 for pair in pairs if pair.same)
        yield f"look-alikes, {name}: {len(wrong)} of {others} taken for the same, {right} of {same} same ones found"
        yield from (f"    {words}" for words in wrong)


def _row(name: str, mine: Score, other: Score) -> str:
    return (
        f"| {name} | {mine.gold} | {mine.precision:.2f} | {mine.recall:.2f} | {mine.f1:.2f} | {mine.top:.2f}"
        f" | {other.precision:.2f} | {other.recall:.2f} | {other.f1:.2f} |"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wrong", action="store_true", help="list every line that is wrong or missing")
    wanted = parser.parse_args(arguments)
    print(f"threshold {THRESHOLD}; baseline: likeness of letters, threshold {BASELINE_THRESHOLD}\n")
    print("| pair | lines | precision | recall | F1 | in top 3 | baseline precision | recall | F1 |")
    print("|---|---|---|---|---|---|---|---|---|")
    totals: dict[str, tuple[Score, Score]] = {}
    told: list[str] = []
    for case in cases():
        mine, lines = judge(case, ours)
        other, _ = judge(case, plain_names)
        pair = f"{case.systems[0]} → {case.systems[1]}"
        print(_row(f"{pair}: {case.source.name} → {case.target.name}", mine, other))
        told += [f"{pair}: {case.source.name}: {line}" for line in lines]
        for name in (pair, "all held out" if case.held_out else "all tuned on"):
            before = totals.get(name, (Score(0, 0, 0, 0, 0), Score(0, 0, 0, 0, 0)))
            totals[name] = (before[0] + mine, before[1] + other)
    for name, (mine, other) in totals.items():
        print(_row(f"**{name}**", mine, other))
    print("\n" + "\n".join(_told_look_alikes()))
    if wanted.wrong:
        print("\n" + "\n".join(told))


if __name__ == "__main__":
    main()
