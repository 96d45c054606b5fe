"""docs/sandbox.md against the code: its examples are read, its words are all there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from connectors.sandbox.dataverse.app import SWITCHES as DATAVERSE
from connectors.sandbox.faults import Do, read_schedule
from connectors.sandbox.fxiaoke.app import SWITCHES as FXIAOKE
from connectors.sandbox.limits import NO_LIMITS, read_limits
from connectors.sandbox.rules import read_rules
from connectors.sandbox.salesforce.org import SWITCHES as SALESFORCE

TEXT = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text(encoding="utf-8")


@pytest.fixture
def written(tmp_path: Path) -> Path:
    for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL):
        name = re.match(r"# (\w+\.yaml)", block)
        assert name
        (tmp_path / name[1]).write_text(block, encoding="utf-8")
    return tmp_path


def test_its_examples_are_read(written: Path) -> None:
    assert [fault.do for fault in read_schedule(written / "faults.yaml").faults] == [
        Do.TIMEOUT_AFTER, Do.UNAVAILABLE, Do.LOCK, Do.EXPIRE_TOKEN,
    ]  # fmt: skip
    limits, switches = read_limits(written / "limits.yaml", NO_LIMITS, SALESFORCE)
    assert (limits.daily, limits.parallel, switches) == (15_000, 5, {"token_seconds": 60})
    rules = read_rules(written)
    assert (len(rules.validation), len(rules.duplicates)) == (1, 1)


def test_its_words_are_all_there_are() -> None:
    faults = TEXT[TEXT.index("| `do` |") : TEXT.index("## Limits")]
    assert set(re.findall(r"^\| ((?:`[\w-]+` ?)+)\|", faults, re.MULTILINE)) - {"`do` "} != set()
    named = {word for row in re.findall(r"^\| ((?:`[\w-]+` ?)+)\|", faults, re.MULTILINE) for word in re.findall(r"`([\w-]+)`", row)}  # fmt: skip
    assert named - {"do"} == {item.value for item in Do}
    switches = TEXT[TEXT.index("| system | switch |") : TEXT.index("## In tests")]
    told = set(re.findall(r"^\|[^|]*\| `(\w+)`", switches, re.MULTILINE))
    assert told == {*SALESFORCE, *DATAVERSE, *FXIAOKE}
