"""Whatever files lie in a tree, each ends in a component or is listed as not understood: the count always closes."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.dynamics_solution import READER as DYNAMICS
from connectors.salesforce_metadata import READER as SALESFORCE
from connectors.salesforce_metadata.places import types
from migrator.core.components import MetadataReader
from migrator.core.progress import Quiet
from migrator.inventory.scan import scan

FOLDERS = sorted({item.directory for item in types()})
NAMES = st.sampled_from(
    ["Account", "A B", "客户", "Order-2", "x.y", "fields", "%41", "-", "Case-3", ".hidden", "Übung"]
)
SUFFIXES = st.sampled_from(
    [*sorted({item.suffix for item in types()}), "", "bin", "md", "foo", "data.xml", "xaml", "json", "dll"]
)
BODIES = st.sampled_from(
    [
        b"", b"\0\1\2", b"<a", b"<CustomObject><fields><fullName>F__c</fullName></fields></CustomObject>",
        b"<Workflow><rules><fullName>R</fullName></rules></Workflow>", b"<Flow><status>Active</status></Flow>",
        b"<FlowDefinition><activeVersionNumber>3</activeVersionNumber></FlowDefinition>", b"\xff\xfe<\0a\0/\0>\0",
        b"<ImportExportXml><Entities><Entity><Name>a</Name></Entity></Entities><Workflows/></ImportExportXml>",
        b"<ImportExportXml><SolutionManifest><RootComponents><RootComponent type='1' schemaName='q'/></RootComponents>"
        b"</SolutionManifest></ImportExportXml>",
        b"<Workflow WorkflowId='1' Name='W'><Category>5</Category><JsonFileName>/Workflows/A.json</JsonFileName></Workflow>",
        b"<WebResource><Name>x</Name></WebResource>", "文本".encode("gb18030"), b'{"properties": 1}', b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
    ]
)  # fmt: skip


@st.composite
def paths(draw: st.DrawFn, folders: list[str]) -> str:
    parts = draw(st.lists(st.sampled_from(folders) | NAMES, max_size=4))
    suffix, meta = draw(SUFFIXES), draw(st.sampled_from(["", "-meta.xml", ".xml"]))
    return "/".join([*parts, f"{draw(NAMES)}{'.' if suffix else ''}{suffix}{meta}"])


DYNAMICS_FOLDERS = [
    "Entities",
    "Workflows",
    "Other",
    "WebResources",
    "Roles",
    "PluginAssemblies",
    "CanvasApps",
    "FormXml",
]
SPECIAL = st.sampled_from(
    ["package.xml", "src/package.xml", "solution.xml", "Other/Solution.xml", "customizations.xml", "data_schema.xml", "data.xml",
     "[Content_Types].xml", "sfdx-project.json", "Workflows/A.json", "Other/Customizations.xml", "solution.XML"]
)  # fmt: skip


@pytest.mark.parametrize(
    ("reader", "folders"),
    [(SALESFORCE, FOLDERS), (DYNAMICS, DYNAMICS_FOLDERS)],
    ids=["salesforce", "dynamics"],
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_the_count_of_files_closes(reader: MetadataReader, folders: list[str], data: st.DataObject) -> None:
    wanted = data.draw(st.dictionaries(paths(folders) | SPECIAL, BODIES, max_size=12))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        written = {name for name, body in wanted.items() if _write(root / name, body)}
        found = scan(reader, root, "old", Quiet())
        assert found.account.unaccounted == ()
        assert found.account.closes
        assert found.account.files == len(written)
        assert len({item.id.lower() for item in found.items}) == len(found.items), "ids are unique"
        assert sum(found.kinds.values()) == len(found.items)
        assert reader.recognise(root) is None or found.account.files > 0


def _write(path: Path, body: bytes) -> bool:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    except OSError:  # one drawn path is a folder of another
        return False
    return True
