"""`staging` of `migration.yaml`: where the files of datasets are kept besides the project's own folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from migrator.commands.setting_checks import unknown_keys, wrong_types
from migrator.core.document import Document, TreePath
from migrator.core.errors import Problem
from migrator.staging.shared import StagingSettings

_KEYS: Mapping[str, type] = {"place": str, "options": dict}
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.+")


def parse_staging(document: Document, data: Mapping[Any, Any], problems: list[Problem]) -> StagingSettings:
    """A URL, or a mapping of `place` and `options`; what is wrong is added to `problems`. Secrets are not looked up."""
    if "staging" not in data:
        return StagingSettings()
    raw = data["staging"]
    path: TreePath = ("staging",)
    if isinstance(raw, dict):
        problems.extend([*unknown_keys(document, path, raw, _KEYS), *wrong_types(document, path, raw, _KEYS)])
        place, options = raw.get("place", ""), raw.get("options", {})
        path = ("staging", "place") if "place" in raw else path
    else:
        place, options = raw, {}
    if not isinstance(place, str) or not _URL.fullmatch(place):
        problems.append(
            Problem(
                document.locate(path), f"staging must be the URL of a folder that machines share, not {place!r}",
                "for example s3://bucket/folder, hdfs://host:8020/folder or file:///mnt/shared/folder; without the key it is"
                " .migrator/staging, which may be a link to another disk",
            )
        )  # fmt: skip
        return StagingSettings()
    return StagingSettings(place, options if isinstance(options, dict) else {})
