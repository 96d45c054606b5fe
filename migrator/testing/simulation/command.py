"""Simulated dual runs or crash points from the command line: what they violated, and how to repeat each."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib import import_module
from multiprocessing import get_context
from typing import Any

from migrator.testing.simulation.crashes import UNQUIET, every_crash, one_crash, small
from migrator.testing.simulation.engine import engine_with, make_engine
from migrator.testing.simulation.halfyear import HalfYear, Report
from migrator.testing.simulation.settings import NONE, PRESETS, Settings
from migrator.testing.simulation.twins import Death

MUTANTS = "tests.simulation.mutants"
"""Where a checkout of the project keeps its broken variants."""

MIXED_FAULTS = ("usual", "usual", "heavy", "usual", "none")
MIXED_CAS = ("exact", "second", "exact", "none", "mixed")
IDLE = 75
"""So many people for one action a day on the few records of a simulated world: 3,000 users make the 40 edits of the prototype."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 when nothing was violated, else 1."""
    wanted = _parser().parse_args(arguments)
    seeds = _seeds(wanted)
    results = _crashes(wanted, seeds) if wanted.crash_points else _half_years(wanted, seeds)
    bad = 0
    totals: Counter[str] = Counter()
    names: Counter[str] = Counter()
    for line in results:
        bad += bool(line["violations"])
        names.update(line.pop("names", {}))
        totals.update(
            {name: value for name, value in line.items() if isinstance(value, int) and name != "seed"}
        )
        _tell(line, as_json=wanted.json)
    totals["simulations"], totals["with violations"] = len(seeds), bad
    if names:
        totals["kinds of points"] = len(names)
    _say(json.dumps({"total": totals}) if wanted.json else "total: " + _figures(totals))
    if names:
        _say(json.dumps({"points": names}) if wanted.json else "points passed: " + _figures(names))
    return 1 if bad else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m migrator.testing.simulation", description=__doc__)
    add = parser.add_argument
    add("--nights", type=int, default=180)
    add(
        "--users",
        type=int,
        default=3_000,
        help=f"people at work; one in {IDLE} touches a watched record on a day",
    )
    add("--records", type=int, default=120, help="records on the old side at the beginning")
    add("--edits", type=int, help="user actions a day, both sides together, in place of what --users gives")
    add("--seed", type=int, default=1)
    add("--seeds", default="", metavar="A-B", help="all seeds from A to B")
    add("--faults", choices=sorted(PRESETS), default="usual")
    add("--cas", choices=("exact", "second", "none", "mixed"), default="exact")
    add("--reconcile", type=int, default=7, metavar="NIGHTS", help="0: only at the end; -1: never")
    add("--mixed", action="store_true", help="faults and compare-and-set by the seed, all of them in turn")
    add("--crash-points", action="store_true", help="a small world, killed at every point of it")
    add(
        "--nested",
        type=int,
        default=0,
        metavar="N",
        help="with --crash-points: again at each of N points later",
    )
    add("--every", type=int, default=1, metavar="N", help="with --crash-points: each Nth point only")
    add("--kill-at", type=int, nargs="*", default=(), help="with --crash-points: this one only, by replaying")
    add("--mutant", default="", metavar="NAME", help="a broken variant in its own world; it must be caught")
    add("--jobs", type=int, default=1)
    add("--json", action="store_true")
    return parser


def _seeds(wanted: argparse.Namespace) -> list[int]:
    if not wanted.seeds:
        return [wanted.seed]
    first, _, last = wanted.seeds.partition("-")
    return list(range(int(first), int(last or first) + 1))


def _edits(wanted: argparse.Namespace) -> int:
    return int(wanted.edits) if wanted.edits is not None else max(1, round(wanted.users / IDLE))


def _settings(wanted: argparse.Namespace, seed: int) -> Settings:
    faults, cas = _kinds(wanted, seed)
    return Settings(
        seed=seed, nights=wanted.nights, records=wanted.records, edits=_edits(wanted),
        rates=PRESETS[faults], cas=cas, reconcile_every=wanted.reconcile,
    )  # fmt: skip


def _kinds(wanted: argparse.Namespace, seed: int) -> tuple[str, str]:
    """Faults and compare-and-set of a seed: most half-years are usual ones with exact versions."""
    if not wanted.mixed:
        return wanted.faults, wanted.cas
    return MIXED_FAULTS[seed % len(MIXED_FAULTS)], MIXED_CAS[seed // len(MIXED_FAULTS) % len(MIXED_CAS)]


def _half_years(wanted: argparse.Namespace, seeds: Sequence[int]) -> Iterator[dict[str, Any]]:
    work = [(wanted, seed) for seed in seeds]
    yield from _mapped(wanted.jobs, _half_year, work)


def _half_year(work: tuple[argparse.Namespace, int]) -> dict[str, Any]:
    wanted, seed = work
    if wanted.mutant:
        mutant = import_module(MUTANTS).MUTANTS[wanted.mutant]
        with mutant.while_running():
            report = HalfYear(dataclasses.replace(mutant.world, seed=seed), engine_with(mutant.parts)).run()
        return _line(report, _again(wanted, seed))
    return _line(HalfYear(_settings(wanted, seed), make_engine).run(), _again(wanted, seed))


def _line(report: Report, again: str) -> dict[str, Any]:
    told = {
        field.name: getattr(report, field.name)
        for field in dataclasses.fields(report)
        if field.name not in {"settings", "violations"}
    }
    return {
        "seed": report.settings.seed,
        **told,
        "calls per change": round(report.calls_per_change, 3),
        "violations": [str(each) for each in report.violations],
        "again": again,
    }


def _again(wanted: argparse.Namespace, seed: int, kills: Sequence[int] = ()) -> str:
    faults, cas = _kinds(wanted, seed)
    words = [f"python -m migrator.testing.simulation --seed {seed} --faults {faults}"]
    if wanted.mutant:
        return f"{words[0]} --mutant {wanted.mutant}"
    if wanted.crash_points:
        words += ["--crash-points", *(["--kill-at", *map(str, kills)] if kills else [])]
    else:
        words += [f"--nights {wanted.nights} --records {wanted.records} --edits {_edits(wanted)}"]
        words += [f"--cas {cas} --reconcile {wanted.reconcile}"]
    return " ".join(words)


def _crashes(wanted: argparse.Namespace, seeds: Sequence[int]) -> Iterator[dict[str, Any]]:
    for lines in _mapped(wanted.jobs, _crash, [(wanted, seed) for seed in seeds]):
        yield from lines


def _crash(work: tuple[argparse.Namespace, int]) -> list[dict[str, Any]]:
    """One line for a seed, and one for each crash that violated something."""
    wanted, seed = work
    settings = small(seed, NONE if wanted.faults == "none" else UNQUIET)
    if wanted.kill_at:
        return [_death(wanted, seed, one_crash(settings, make_engine, tuple(wanted.kill_at)))]
    done = every_crash(settings, make_engine, nested=wanted.nested, step=wanted.every)
    lines = [_death(wanted, seed, death) for death in done.deaths if death.violations]
    points = [death.at for death in done.deaths if death.at]
    nested = sum(len(at) > 1 for at in points)
    figures = {"seed": seed, "crash points": len(points) - nested, "nested": nested}
    return [*lines, {**figures, "violations": [], "names": dict(done.names)}]


def _death(wanted: argparse.Namespace, seed: int, death: Death) -> dict[str, Any]:
    return {
        "seed": seed,
        "killed": list(death.at),
        "before": death.name,
        "violations": [str(each) for each in death.violations],
        "again": _again(wanted, seed, death.at),
    }


def _mapped(jobs: int, function: Any, work: Sequence[Any]) -> Iterator[Any]:
    """In order of the work, in several processes when asked."""
    if jobs == 1:
        yield from map(function, work)
        return
    with get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(function, work)


def _tell(line: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        _say(json.dumps(line, ensure_ascii=False))
        return
    _say(_figures({name: value for name, value in line.items() if name not in {"violations", "again"}}))
    for text in line["violations"][:20]:
        _say(f"  VIOLATED {text}")
    if len(line["violations"]) > 20:
        _say(f"  … and {len(line['violations']) - 20} more")
    if line["violations"]:
        _say(f"  again: {line['again']}")


def _figures(named: dict[str, Any] | Counter[str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in named.items())


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
