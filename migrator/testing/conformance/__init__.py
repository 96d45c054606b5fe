"""The conformance kit: what every connector, ours or a third party's, must do before a migration is trusted to it.

A target's tests are these lines and the opening of one empty object::

    import pytest
    from migrator.core.connector import Target
    from migrator.testing.conformance import TARGET_CHECKS

    @pytest.mark.parametrize("check", TARGET_CHECKS, ids=lambda check: check.__name__)
    def test_target(check, tmp_path):
        target = open_target({"url": f"sqlite:///{tmp_path / 'x.db'}"})
        check(TargetBench(target, "contact", key="legacy_id", text="name"))

Each check is a plain function that raises `AssertionError` with a sentence saying which promise of
`migrator.core.connector` is broken. A check that a system has no field for (no decimal, no link) passes by itself.
"""

from migrator.testing.conformance.bench import TargetBench
from migrator.testing.conformance.sources import SOURCE_CHECKS, SourceBench
from migrator.testing.conformance.targets import TARGET_CHECKS

__all__ = ["SOURCE_CHECKS", "TARGET_CHECKS", "SourceBench", "TargetBench"]
