"""What a run of the step leaves for the next one: the model with the features it compares, and all pairs that were found.

It is used only beside the clusters it was made with, and under the same rules and decisions (the bands follow those);
anything else is matched from the start.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from migrator.core.fingerprint import fingerprint
from migrator.core.mapped import Judgement
from migrator.dedupe.delta import Last
from migrator.dedupe.edges import EDGES
from migrator.dedupe.match import Memory
from migrator.staging.engine import QUICK, Session
from migrator.staging.store import Building, Finished, Kind, Part, Store

_MOST_PARTS = 30
"""Files of features from which on they are written anew as one."""
_WEIGHTS = {"holds": "weights"}
"""Detail of the part of FEATURES that has the weights of words and values."""
_STEP = "dedupe"


class Known:
    """The memory of one mapping's step: read from the last run, written for the next.

    `made_of` is the fingerprint of this run's inputs, `rules` that of everything besides records and decisions.
    """

    def __init__(
        self, store: Store, name: str, *, made_of: str, rules: str, judgements: Sequence[Judgement]
    ) -> None:
        self._store, self._name, self._made_of = store, name, made_of
        self._guards = {
            "rules": rules,
            "decided": fingerprint(sorted((item.one, item.other, item.verdict.value) for item in judgements)),
        }
        self._made: dict[Kind, Building] = {}

    def memory(self, session: Session) -> Memory:
        """What matching gets of it."""

        def keep(features: str, weights: str) -> None:
            made = self._write(session, Kind.FEATURES, features)
            made.add(lambda path: session.write(weights, path, compression=QUICK), detail=_WEIGHTS)

        def extend(more: str, every: str) -> None:
            self._extend(session, more, every)

        return Memory(self._last(), keep, extend)

    def keep_edges(self, session: Session) -> None:
        """Put the table of edges on record, if features were."""
        if self._made:
            self._write(session, Kind.EDGES, f"SELECT * FROM {EDGES}")

    def finished(self, scored: Mapping[str, Any] | None) -> tuple[Finished, ...]:
        """What was kept, to be completed with what was made of it, so that both are of one run; nothing without a model.

        `scored` is the model as the next run takes it up.
        """
        if scored is None or not self._made:
            return ()
        model = {**self._guards, "model": dict(scored)}
        return Finished(self._made[Kind.EDGES], {}), Finished(self._made[Kind.FEATURES], model)

    def _write(self, session: Session, kind: Kind, query: str) -> Building:
        self._made[kind] = self._store.build(kind, self._name, self._made_of)
        self._made[kind].add(lambda path: session.write(query, path, compression=QUICK))
        return self._made[kind]

    def _extend(self, session: Session, more: str, every: str) -> None:
        """Take the files of the last run's features over as they are, and add one."""
        last = self._store.need(Kind.FEATURES, self._name, made_by=_STEP)
        made = self._store.build(Kind.FEATURES, self._name, self._made_of)
        whole = len(last.parts) >= _MOST_PARTS
        for part in last.parts:
            if part.detail == _WEIGHTS or not whole:
                made.add(partial(_take_over, part), detail=part.detail)
        made.add(lambda path: session.write(every if whole else more, path, compression=QUICK))
        self._made[Kind.FEATURES] = made

    def _last(self) -> Last | None:
        found = [self._store.current(kind, self._name) for kind in (Kind.FEATURES, Kind.EDGES, Kind.CLUSTERS)]
        features, edges, clusters = found
        if (
            features is None
            or edges is None
            or clusters is None
            or not all(item.intact for item in (features, edges))
        ):
            return None
        fitting = features.fingerprint == edges.fingerprint == clusters.fingerprint
        same = all(features.detail[name] == value for name, value in self._guards.items())
        if not (fitting and same and clusters.intact and features.files and edges.files):
            return None
        held = features.files_of(part for part in features.parts if part.detail != _WEIGHTS)
        weights = features.files_of(part for part in features.parts if part.detail == _WEIGHTS)
        return Last(held, weights, edges.files, features.detail["model"]) if weights else None


def _take_over(part: Part, path: Path) -> int:
    """The same file under another name; where a disk has no links, a copy."""
    try:
        path.hardlink_to(part.path)
    except OSError:
        shutil.copyfile(part.path, path)
    return part.rows
