"""Invented set-ups of old systems: Salesforce in both forms and a Dynamics solution, as large as asked for, the same for one seed."""

from __future__ import annotations

import random
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_NS = 'xmlns="http://soap.sforce.com/2006/04/metadata"'
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
_TYPES = ("Text", "Number", "Checkbox", "Date", "Picklist", "Lookup", "LongTextArea", "EncryptedText")
_WORDS = ("Tier", "Region", "渠道", "Renewal", "Discount", "Credit", "Segment", "Score", "Owner", "Remark")
Files = Mapping[str, str]
"""Path → content."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How much of everything."""

    objects: int = 4
    fields: int = 12
    """Of each object."""
    classes: int = 6
    profiles: int = 3
    seed: int = 7

    @property
    def names(self) -> tuple[str, ...]:
        """Objects: a few that every organisation has, then its own."""
        known = ("Account", "Contact", "Opportunity", "Case")
        return known[: self.objects] + tuple(f"Thing{n}__c" for n in range(self.objects - len(known)))


def sfdx(extent: Extent) -> dict[str, str]:
    """A source tree: a file a component, flows in one file each."""
    chance = random.Random(extent.seed)
    root = "force-app/main/default"
    made = {
        "sfdx-project.json": '{"packageDirectories": [{"path": "force-app"}]}\n',
        "README.md": "# Sales\n",
    }
    for name in extent.names:
        made[f"{root}/objects/{name}/{name}.object-meta.xml"] = _xml("CustomObject", f"<label>{name}</label>")
        for field, body in _fields(extent, chance):
            made[f"{root}/objects/{name}/fields/{field}.field-meta.xml"] = _xml("CustomField", body)
        made[f"{root}/objects/{name}/validationRules/Check.validationRule-meta.xml"] = _xml(
            "ValidationRule", _rule()
        )
        made[f"{root}/objects/{name}/recordTypes/Partner.recordType-meta.xml"] = _xml(
            "RecordType", "<fullName>Partner</fullName><active>true</active><label>Partner</label>"
        )
        made[f"{root}/flows/{name.removesuffix('__c')}_Saved.flow-meta.xml"] = _xml(
            "Flow", _flow(name, chance, "Active")
        )
    return made | {f"{root}/{path}": text for path, text in _common(extent, chance, "-meta.xml")}


def package(extent: Extent) -> dict[str, str]:
    """The older form: package.xml, one file an object, flows in one file a version with their definitions."""
    chance = random.Random(extent.seed)
    made = {
        "src/package.xml": _xml("Package", "<types><members>*</members><name>CustomObject</name></types>")
    }
    for name in extent.names:
        parts = [f"<label>{name}</label>"]
        parts += [f"<fields>{body}</fields>" for _, body in _fields(extent, chance)]
        parts += [
            f"<validationRules>{_rule()}</validationRules>",
            "<recordTypes><fullName>Partner</fullName><active>true</active></recordTypes>",
        ]
        made[f"src/objects/{name}.object"] = _xml("CustomObject", "\n".join(parts))
        flow = f"{name.removesuffix('__c')}_Saved"
        for version in (1, 2, 3):
            made[f"src/flows/{flow}-{version}.flow"] = _xml(
                "Flow", _flow(name, chance, "" if version != 3 else "Draft")
            )
        made[f"src/flowDefinitions/{flow}.flowDefinition"] = _xml(
            "FlowDefinition", "<activeVersionNumber>2</activeVersionNumber>"
        )
    return made | {f"src/{path}": text for path, text in _common(extent, chance, "")}


def _xml(root: str, body: str) -> str:
    return f"{_HEAD}<{root} {_NS}>\n{body}\n</{root}>\n"


def _fields(extent: Extent, chance: random.Random) -> Iterator[tuple[str, str]]:
    for number in range(extent.fields):
        name = f"F{number}__c"
        kind = _TYPES[number % len(_TYPES)]
        parts = [
            f"<fullName>{name}</fullName>",
            f"<label>{chance.choice(_WORDS)} {number}</label>",
            f"<type>{kind}</type>",
        ]
        if kind in ("Text", "EncryptedText"):
            parts.append("<length>80</length>")
        if kind == "Lookup":
            parts.append(f"<referenceTo>{chance.choice(extent.names)}</referenceTo>")
        if number % 5 == 0:
            parts.append(
                "<securityClassification>Confidential</securityClassification><complianceGroup>GDPR</complianceGroup>"
            )
        yield name, "\n".join(parts)


def _rule() -> str:
    return (
        "<fullName>Check</fullName><active>true</active><errorConditionFormula>ISBLANK(F0__c)</errorConditionFormula>"
        "<errorMessage>F0 is needed</errorMessage>"
    )


def _flow(name: str, chance: random.Random, status: str) -> str:
    nodes = "".join(
        f"<assignments><name>A{n}</name><assignmentItems><assignToReference>$Record.F{n}__c</assignToReference>"
        "</assignmentItems></assignments>"
        for n in range(chance.randrange(1, 5))
    )
    state = f"<status>{status}</status>" if status else ""
    return (
        f"<apiVersion>60.0</apiVersion>{nodes}<label>{name} saved</label><processType>AutoLaunchedFlow</processType>"
        f"<start><object>{name}</object><recordTriggerType>CreateAndUpdate</recordTriggerType>"
        f"<triggerType>RecordAfterSave</triggerType></start>{state}"
    )


def _common(extent: Extent, chance: random.Random, meta: str) -> Iterator[tuple[str, str]]:
    """What both forms lay out alike, but for the ending of the files."""
    names = extent.names
    for name in names:
        yield f"layouts/{name}-Main Layout.layout{meta}", _xml("Layout", _layout(extent, chance))
        yield f"workflows/{name}.workflow{meta}", _xml("Workflow", _workflow(name))
        yield f"sharingRules/{name}.sharingRules{meta}", _xml("SharingRules", "")
    for number in range(extent.classes):
        yield f"classes/Service{number}.cls", _apex(number, chance.choice(names))
        yield (
            f"classes/Service{number}.cls-meta.xml",
            _xml("ApexClass", "<apiVersion>58.0</apiVersion><status>Active</status>"),
        )
    for number in range(extent.profiles):
        yield f"profiles/Profile {number}.profile{meta}", _xml("Profile", _profile(extent))
    yield (
        f"remoteSiteSettings/ERP.remoteSite{meta}",
        _xml("RemoteSiteSetting", "<isActive>true</isActive><url>https://erp.example.com</url>"),
    )
    yield (
        f"connectedApps/OA.connectedApp{meta}",
        _xml("ConnectedApp", "<contactEmail>oa@example.com</contactEmail><label>OA</label>"),
    )


def _layout(extent: Extent, chance: random.Random) -> str:
    shown = sorted(chance.sample(range(extent.fields), max(extent.fields // 2, 1)))
    items = "".join(
        f"<layoutItems><behavior>Edit</behavior><field>F{n}__c</field></layoutItems>" for n in shown
    )
    return f"<layoutSections><layoutColumns>{items}</layoutColumns></layoutSections>"


def _workflow(name: str) -> str:
    return (
        "<fieldUpdates><fullName>Set</fullName><field>F1__c</field><name>Set</name></fieldUpdates>"
        "<outboundMessages><fullName>Tell_ERP</fullName><apiVersion>58.0</apiVersion>"
        f"<endpointUrl>https://erp.example.com/in?key=secret</endpointUrl><fields>Id</fields><fields>F2__c</fields>"
        "<integrationUser>erp@example.com</integrationUser><name>Tell ERP</name></outboundMessages>"
        "<rules><fullName>Old rule</fullName><actions><name>Set</name><type>FieldUpdate</type></actions>"
        f"<active>true</active><criteriaItems><field>{name}.F1__c</field></criteriaItems>"
        "<triggerType>onCreateOnly</triggerType></rules>"
    )


def _apex(number: int, name: str) -> str:
    body = "\n".join(f"        r.F{n}__c = null; // line {n}" for n in range(number % 7))
    call = (
        "        HttpRequest q = new HttpRequest(); q.setEndpoint('callout:ERP/orders');\n"
        if number % 3 == 0
        else ""
    )
    return f"public class Service{number} {{\n    void run({name} r) {{\n{body}\n{call}    }}\n}}\n"


def _profile(extent: Extent) -> str:
    return "".join(
        f"<fieldPermissions><editable>true</editable><field>{name}.F{n}__c</field><readable>true</readable></fieldPermissions>"
        for name in extent.names
        for n in range(extent.fields)
    )


def solution(extent: Extent, *, managed: bool = False) -> dict[str, str]:
    """A Dynamics solution as its zip holds it."""
    chance = random.Random(extent.seed)
    names = [f"new_thing{n}" for n in range(extent.objects)]
    guid = _guids(chance)
    entities = "".join(_entity(name, extent, guid) for name in names)
    flow, assembly = guid(), guid()
    customizations = (
        f"{_HEAD}<ImportExportXml><Entities>{entities}</Entities><Workflows>"
        f'<Workflow WorkflowId="{{{flow}}}" Name="Tell ERP"><JsonFileName>/Workflows/TellERP-{flow.upper()}.json</JsonFileName>'
        "<Category>5</Category><StateCode>1</StateCode><PrimaryEntity>none</PrimaryEntity></Workflow></Workflows>"
        f'<SdkMessageProcessingSteps><SdkMessageProcessingStep Name="Rules: Update of {names[0]}"'
        f' SdkMessageProcessingStepId="{{{guid()}}}"><SdkMessageId>20bebb1b-ea3e-db11-86a7-000a3a5473e8</SdkMessageId>'
        f"<PluginTypeName>Rules.OnUpdate, Rules</PluginTypeName><PrimaryEntity>{names[0]}</PrimaryEntity>"
        "<FilteringAttributes>new_f0,new_f1</FilteringAttributes><Mode>0</Mode><Stage>20</Stage></SdkMessageProcessingStep>"
        "</SdkMessageProcessingSteps><SolutionPluginAssemblies>"
        f'<PluginAssembly FullName="Rules, Version=1.0.0.0" PluginAssemblyId="{{{assembly}}}">'
        '<FileName>/PluginAssemblies/Rules.dll</FileName><PluginTypes><PluginType Name="Rules.OnUpdate"/></PluginTypes>'
        f"</PluginAssembly></SolutionPluginAssemblies><WebResources>{_definitions(extent, guid)}</WebResources>"
        "<Languages><Language>1033</Language></Languages></ImportExportXml>"
    )
    return {
        "[Content_Types].xml": f"{_HEAD}<Types/>",
        "solution.xml": (
            f"{_HEAD}<ImportExportXml><SolutionManifest><UniqueName>Sales</UniqueName><Version>1.0.0.0</Version>"
            f"<Managed>{int(managed)}</Managed><RootComponents>"
            + "".join(f'<RootComponent type="1" schemaName="{name}" behavior="0"/>' for name in names)
            + '<RootComponent type="61" schemaName="new_/lost.js" behavior="0"/></RootComponents><MissingDependencies>'
            '<MissingDependency><Required type="1" schemaName="msdyn_workorder" solution="FieldService (8.8)"/>'
            f'<Dependent type="1" schemaName="{names[0]}"/></MissingDependency></MissingDependencies></SolutionManifest>'
            "</ImportExportXml>"
        ),
        "customizations.xml": customizations,
        f"Workflows/TellERP-{flow.upper()}.json": _cloud_flow(names[0], guid()),
        "PluginAssemblies/Rules.dll": "MZ\0\0" + "\0".join("new_f3") + "\0\0",
    } | {f"WebResources/new_s{n}.js": _script(extent, n) for n in range(extent.classes)}


def _definitions(extent: Extent, guid: Callable[[], str]) -> str:
    return "".join(
        f"<WebResource><WebResourceId>{{{guid()}}}</WebResourceId><Name>new_s{n}.js</Name><WebResourceType>3</WebResourceType>"
        f"<FileName>/WebResources/new_s{n}.js</FileName></WebResource>"
        for n in range(extent.classes)
    )


def _script(extent: Extent, number: int) -> str:
    """It says which fields it means, and of which entity only now and then."""
    fields = "\n".join(f"form.getAttribute('new_f{(number + n) % extent.fields}');" for n in range(8))
    return f"// {f'new_thing{number % extent.objects}' if number % 4 == 0 else 'any'}\n{fields}\n"


def _guids(chance: random.Random) -> Callable[[], str]:
    def one() -> str:
        text = f"{chance.getrandbits(128):032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    return one


def _entity(name: str, extent: Extent, guid: Callable[[], str]) -> str:
    attributes = "".join(
        f'<attribute PhysicalName="new_F{n}"><Type>nvarchar</Type><Name>new_f{n}</Name><LogicalName>new_f{n}</LogicalName>'
        f"<RequiredLevel>none</RequiredLevel><MaxLength>100</MaxLength><IsSecured>{int(n % 4 == 0)}</IsSecured>"
        f'<IsCustomField>1</IsCustomField><displaynames><displayname description="F {n}" languagecode="1033"/></displaynames>'
        "</attribute>"
        for n in range(extent.fields)
    )
    return (
        f'<Entity><Name LocalizedName="{name}">{name}</Name><EntityInfo><entity Name="{name}"><attributes>{attributes}'
        '</attributes></entity></EntityInfo><FormXml><forms type="main"><systemform>'
        f'<formid>{{{guid()}}}</formid><form><tabs><tab><control datafieldname="new_f1"/></tab></tabs></form>'
        '<LocalizedNames><LocalizedName description="Main" languagecode="1033"/></LocalizedNames></systemform></forms></FormXml>'
        f"<SavedQueries><savedqueries><savedquery><savedqueryid>{{{guid()}}}</savedqueryid>"
        f'<fetchxml><fetch><entity name="{name}"><attribute name="new_f2"/></entity></fetch></fetchxml>'
        '<LocalizedNames><LocalizedName description="All" languagecode="1033"/></LocalizedNames></savedquery></savedqueries>'
        "</SavedQueries><RibbonDiffXml><CustomActions/></RibbonDiffXml></Entity>"
    )


def _cloud_flow(name: str, record: str) -> str:
    return (
        '{"properties": {"connectionReferences": {"shared_http": {"api": {"name": "shared_sap"}}}, "definition": {"triggers":'
        ' {"manual": {"type": "Request", "kind": "Http"}}, "actions": {"Post": {"type": "Http", "inputs":'
        f' {{"uri": "https://erp.example.com/api", "body": "{name} new_f0 {record}"}}}}}}}}}}}}\n'
    )


def write_tree(folder: Path, files: Files) -> Path:
    """Write the files below a folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    return folder


def write_zipped(path: Path, files: Files) -> Path:
    """Write the files into a zip."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path
