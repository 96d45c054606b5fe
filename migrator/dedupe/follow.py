"""Bands that follow what people decided about pairs, by the weights that the model gives those pairs now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from migrator.core.mapped import Judgement, MatchModel, Same
from migrator.dedupe.bands import Bands, bits_of, probability
from migrator.dedupe.features import FEATURES
from migrator.dedupe.learning import SCORED
from migrator.dedupe.retune import Decided, WeightBands, retune, shift
from migrator.staging.engine import Session


@dataclass(frozen=True, slots=True)
class Followed:
    """Bands after decisions: how many were about pairs that the model weighs, and how far off they say it is."""

    bands: Bands
    decisions: int
    bits: float
    """What the model's weights lack to say what people say."""


def follow_decisions(
    session: Session, bands: Bands, wanted: MatchModel, judgements: Sequence[Judgement], prior: float
) -> Followed:
    """Move the bands of a model whose pairs stand in `SCORED`; a band that the model's file names stays where it is."""
    said = _decided(session, judgements, prior)
    if not said:
        return Followed(bands, 0, 0.0)
    off = shift(said)
    before = WeightBands(bits_of(bands.review), bits_of(bands.automatic))
    moved = retune(said, before)
    stays = wanted.automatic is not None or moved.automatic == before.automatic
    automatic = bands.automatic if stays else _probability(moved.automatic)
    review = bands.review if wanted.review is not None else _probability(moved.review)
    likely = _probability(bits_of(bands.likely) - off)
    if bands.review > bands.automatic:
        review = bands.review
    return Followed(Bands(automatic, likely, review), len(said), round(off, 2))


def _probability(bits: float) -> float:
    return round(probability(bits), 9)


def _decided(session: Session, judgements: Sequence[Judgement], prior: float) -> list[Decided]:
    """What was decided about pairs that are scored now."""
    known = [item for item in judgements if item.verdict is not Same.UNSURE]
    rows = {
        "one": [item.one for item in known],
        "other": [item.other for item in known],
        "same": [item.verdict is Same.SAME for item in known],
    }
    shape = pa.schema([("one", pa.string()), ("other", pa.string()), ("same", pa.bool_())])
    session.table("dedupe_said", pa.table(rows, schema=shape))
    found = session.fetch(
        f"SELECT s.weight, d.same FROM dedupe_said d JOIN {FEATURES} x ON x.__id = d.one JOIN {FEATURES} y ON y.__id = d.other "
        f"JOIN {SCORED} s ON s.a = least(x.n, y.n) AND s.b = greatest(x.n, y.n)"
    ).to_pylist()
    session.execute("DROP TABLE dedupe_said")
    return [Decided(row["weight"] + bits_of(prior), row["same"]) for row in found]
