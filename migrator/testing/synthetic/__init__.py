"""Genuine-looking legacy CRM exports with known truth, in any size, the same from the same seed: for demos, tests, benchmarks.

>>> from pathlib import Path
>>> truth = generate(Path("legacy"), scale=20_000)            # doctest: +SKIP
>>> truth.of("salesforce", "Contact").records                 # doctest: +SKIP
4800
"""

from __future__ import annotations

from pathlib import Path

from migrator.testing.synthetic.chance import Chance
from migrator.testing.synthetic.migration_zip import write_migration_zip
from migrator.testing.synthetic.population import Rates
from migrator.testing.synthetic.truth import EntityWriter, ObjectTruth, Truth
from migrator.testing.synthetic.weekly import spread, write_parts, write_weekly
from migrator.testing.synthetic.world import Sizes, World, sizes

__all__ = ["ObjectTruth", "Rates", "Truth", "generate", "generate_benchmark"]

DEMO_SCALE = 20_000
SEED = 7


def generate(folder: Path, *, scale: int = DEMO_SCALE, seed: int = SEED, rates: Rates | None = None) -> Truth:
    """Write FOLDER/salesforce/WE_…_N.ZIP and FOLDER/dynamics/export.zip with about `scale` records in all.

    The truth is returned, and written beside them as truth.json and truth.parquet. Same arguments, same bytes.
    """
    salesforce, dynamics = sizes(scale)
    world = World(Chance(seed), rates or Rates(), salesforce, dynamics)
    folder.mkdir(parents=True, exist_ok=True)
    truth = Truth(folder, seed, scale)
    entities = EntityWriter(folder)
    try:
        write_weekly(folder / "salesforce", world, truth, entities)
        write_migration_zip(folder / "dynamics" / "export.zip", world, truth, entities)
    finally:
        entities.close()
    truth.duplicates = entities.copies
    truth.save()
    return truth


def generate_benchmark(
    folder: Path,
    *,
    contacts: int = 1_000_000,
    accounts: int = 200_000,
    activities: int = 0,
    seed: int = SEED,
    rates: Rates | None = None,
) -> Truth:
    """Write only Account, Contact (25 columns) and, if any, Task as Salesforce zips into FOLDER/salesforce, quickly."""
    salesforce = Sizes(
        accounts=accounts, contacts=contacts, opportunities=0, activities=activities, users=200
    )
    nothing = Sizes(accounts=0, contacts=0, opportunities=0, activities=0, users=0)
    world = World(Chance(seed), rates or Rates(), salesforce, nothing)
    folder.mkdir(parents=True, exist_ok=True)
    truth = Truth(folder, seed, contacts + accounts)
    entities = EntityWriter(folder)
    try:
        (account,) = spread("Account", accounts, 1, 0)
        one, two = spread("Contact", contacts, 2, world.rates.overlap)
        tasks = spread("Task", activities, 1, 0) if activities else []
        parts = ((account, one), (two, *tasks))
        write_parts(folder / "salesforce", world, truth, entities, parts, compression=1)
    finally:
        entities.close()
    truth.duplicates = entities.copies
    truth.save()
    return truth
