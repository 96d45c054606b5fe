"""Suggested mappings: what fits by name, label, type, link and value; what looks alike and is not; what is written, and never over a file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from migrator.cli.main import run_app
from migrator.commands.project import load_project
from migrator.commands.suggest import suggest_mappings
from migrator.core.errors import FatalError, ProjectError
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema, schemas_to_json
from migrator.mapping.suggest import THRESHOLD, Suggestion, suggest
from migrator.mapping.suggest_assign import assign
from migrator.mapping.suggest_facts import ColumnFacts
from migrator.mapping.suggest_objects import pair_objects
from migrator.mapping.suggest_words import load_lexicon, parse_lexicon, shared_prefix
from migrator.mapping.suggest_yaml import write_suggestion

T = FieldType


def field(name: str, label: str = "", kind: FieldType = T.STRING, **more: object) -> FieldSchema:
    return FieldSchema(name, kind, label, **more)  # type: ignore[arg-type]


def thing(name: str, *fields: FieldSchema, key: str = "", label: str = "") -> ObjectSchema:
    return ObjectSchema(name, key, fields, label)


def propose(source: ObjectSchema, target: ObjectSchema, **more: object) -> Suggestion:
    return suggest(load_lexicon(), source, target, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("column", "target"),
    [
        (field("Phone"), field("telephone1", "Main Phone")),
        (field("BillingCity", "Billing City"), field("address1_city", "Address 1: City")),
        (field("Name", "Account Name"), field("name", "客户名称")),
        (field("手機號碼"), field("mobile", "Mobile")),
        (field("预计成交日期"), field("estimated_close_date")),
        (field("NumberOfEmployees"), field("numberofemployees")),
        (field("HasOptedOutOfEmail", kind=T.BOOLEAN), field("donotemail", kind=T.BOOLEAN)),
        (field("Adress"), field("address")),
        (field("nama"), field("名称")),
        (field("UDF_7", "网址"), field("website")),
    ],
)
def test_words_that_mean_the_same_are_found(column: FieldSchema, target: FieldSchema) -> None:
    found = propose(thing("Account", column), thing("account", target))
    assert found.chosen == {target.name: column.name}
    assert found.lines[0].chosen is not None
    assert found.lines[0].chosen.evidence


@pytest.mark.parametrize(
    ("column", "target"),
    [
        (field("Phone"), field("fax")),
        (field("BillingCity"), field("ShippingCity")),
        (field("CreatedDate", kind=T.DATETIME), field("modifiedon", "Modified On", T.DATETIME)),
        (field("FirstName"), field("LastName")),
        (field("BillingCity"), field("BillingCountry")),
        (field("StartDate", kind=T.DATE), field("EndDate", kind=T.DATE)),
        (field("IsActive", kind=T.BOOLEAN), field("isdisabled", kind=T.BOOLEAN)),
        (field("OwnerId", kind=T.REFERENCE, references=("User",)), field("accountid", kind=T.REFERENCE, references=("account",))),
        (field("HomePhone"), field("MobilePhone")),
    ],
)  # fmt: skip
def test_what_looks_alike_and_is_not_stays_open(column: FieldSchema, target: FieldSchema) -> None:
    assert propose(thing("Contact", column), thing("contact", target)).chosen == {}


def test_values_in_the_targets_list_speak_for_a_pair_and_become_a_value_map() -> None:
    rating = field("Rating", kind=T.PICKLIST, values=("Hot", "Warm", "Odd"))
    codes = field("ratingcode", kind=T.PICKLIST, values=("1", "2"), labels={"1": "hot", "2": "Warm"})
    (line,) = propose(thing("A", rating), thing("B", codes)).lines
    assert line.chosen is not None
    assert line.chosen.evidence[-1] == "67% of 3 values are in the target's value list"
    assert line.values is not None
    assert line.values.entries == (("Hot", "1"), ("Warm", "2"))
    assert line.question == "which values are 'Odd'?"


def test_codes_are_never_matched_by_number_alone() -> None:
    mine = field("Rating", kind=T.PICKLIST, values=("1", "2"), labels={"1": "Warm", "2": "Hot"})
    theirs = field("rating", kind=T.PICKLIST, values=("1", "2"), labels={"1": "Hot", "2": "Warm"})
    (line,) = propose(thing("A", mine), thing("B", theirs)).lines
    assert line.values is not None
    assert line.values.entries == (("1", "2"), ("2", "1"))


def test_values_that_do_not_look_like_it_speak_against_a_name() -> None:
    facts = ColumnFacts(rows=50, filled=50, distinct=50, longest=9, forms={"e-mail addresses": 0.0})
    column, target = thing("A", field("Email")), thing("B", field("mail_address", "E-mail"))
    sure = propose(column, target).lines[0].ranked[0].confidence
    doubtful = propose(column, target, seen={"Email": facts}).lines[0].ranked[0]
    assert doubtful.confidence < sure
    assert "only 0% of the values are e-mail addresses" in doubtful.evidence


def test_near_ties_are_a_question() -> None:
    found = propose(thing("A", field("EMail"), field("Email")), thing("B", field("email")))
    assert found.lines[0].question in ("or is it Email?", "or is it EMail?")


def test_a_planned_amount_is_a_question() -> None:
    found = propose(
        thing("Deal", field("Amount", kind=T.DECIMAL)), thing("deal", field("est_amount", kind=T.DECIMAL))
    )
    assert found.lines[0].chosen is not None
    assert found.lines[0].question == "only one of the two says estimated: is it the same?"


def test_a_name_without_a_column_can_be_put_together_and_stays_a_comment() -> None:
    person = thing("User", field("First Name"), field("Last Name"), field("Email"))
    found = propose(person, thing("人员", field("name", "姓名", required=True), field("email", "邮箱")))
    assert found.lines[0].parts == ("First Name", "Last Name")
    text = write_suggestion(found, name="person", systems=("old", "new"), links={})
    assert """  # name: {expr: "concat_ws(' ', \\"First Name\\", \\"Last Name\\")"}  # no column""" in text


def test_read_only_fields_and_keys_are_left_out() -> None:
    target = thing(
        "B",
        field("id", kind=T.ID),
        field("name"),
        field("total", read_only=True),
        field("__x", "Name"),
        key="id",
    )
    found = propose(thing("A", field("id", kind=T.ID), field("name"), field("total"), key="id"), target)
    assert found.chosen == {"name": "name"}
    assert found.key is not None
    assert found.key.name == "id"
    assert [item.name for item in found.left_out] == ["total", "__x"]


def test_the_assignment_is_best_as_a_whole_and_one_sure_line_beats_two_half_sure_ones() -> None:
    assert assign({("a", "x"): 0.9, ("b", "x"): 0.88, ("a", "y"): 0.85}) == {"x": "b", "y": "a"}
    assert assign({("a", "x"): 0.95, ("a", "y"): 0.6, ("b", "x"): 0.6}) == {"x": "a"}


def test_a_prefix_that_all_fields_share_is_no_word_of_theirs() -> None:
    names = ["comp_name", "comp_type", "comp_city", "comp_phone", "other"]
    assert shared_prefix(names) == "comp"
    assert shared_prefix(["first_name", "last_name", "phone", "fax"]) == ""


def test_objects_are_paired_by_what_they_are_called_and_about() -> None:
    mine = {name: thing(name, field("Name")) for name in ("Account", "Contact", "CampaignMember", "Zzz")}
    theirs = {name: thing(name, field("name")) for name in ("contact", "AccountObj", "campaign", "incident")}
    found = {(pair.source, pair.target) for pair in pair_objects(load_lexicon(), mine, theirs)}
    assert {("Account", "AccountObj"), ("Contact", "contact")} <= found
    assert not any(source == "Zzz" or target == "incident" for source, target in found)


def test_the_lexicon_holds_together() -> None:
    lexicon = load_lexicon()
    assert len(lexicon.phrases) > 800
    assert len(lexicon.terms) > 400
    with pytest.raises(ValueError, match="twice"):
        parse_lexicon("concept,group,weight,absorbs,beside,english,chinese,malay\na,,1,,,a,,\na,,1,,,b,,\n")
    with pytest.raises(ValueError, match="speaks of unknown"):
        parse_lexicon("concept,group,weight,absorbs,beside,english,chinese,malay\na,,1,zzz,,a,,\n")


def test_hostile_names_cannot_leave_their_comments() -> None:
    evil = "x\nfields: {a: {value: 1}} # "
    found = propose(
        thing("A", field(evil, "Name\n- b")), thing("B", field("name", evil, required=True), field(evil))
    )
    text = write_suggestion(found, name="b", systems=("old", "new"), links={})
    assert all(line.startswith(("#", " ")) or ":" in line for line in text.splitlines())
    assert "\nfields: {a" not in text


MIGRATION = """\
systems:
  old: {connector: files, path: exports}
  new: {connector: sql, url: "sqlite:///new.db"}
engine: {memory_limit: 200MB, threads: 1}
"""
OLD = (
    thing(
        "Account",
        field("Id", kind=T.ID), field("Name"), field("Phone"), field("Rating", kind=T.PICKLIST),
        field("ParentId", kind=T.REFERENCE, references=("Account",)),
        field("OwnerId", kind=T.REFERENCE, references=("User",)), field("select"),
        key="Id",
    ),
    thing("User", field("Id", kind=T.ID), field("FirstName"), field("LastName"), key="Id"),
)  # fmt: skip
NEW = (
    thing(
        "客户",
        field("_id", kind=T.ID, read_only=True), field("old_id", "旧系统编号", unique=True),
        field("name", "客户名称", required=True), field("tel", "电话"),
        field("level", "级别", T.PICKLIST, values=("1", "2"), labels={"1": "Hot", "2": "Cold"}),
        field("parent", "上级客户", T.REFERENCE, references=("客户",)),
        field("owner", "负责人", T.REFERENCE, references=("人员",)), field("fax", "传真"),
        key="_id", label="客户",
    ),
    thing("人员", field("工号", unique=True), field("名"), field("姓"), key="工号"),
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "migration.yaml").write_text(MIGRATION, encoding="utf-8")
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas/old.json").write_text(schemas_to_json(OLD), encoding="utf-8")
    (tmp_path / "schemas/new.json").write_text(schemas_to_json(NEW), encoding="utf-8")
    return tmp_path


def test_a_whole_project_is_proposed_and_written_without_a_connection_and_holds(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_app(["-C", str(folder), "map", "suggest", "--write"]) == 0
    shown = capsys.readouterr().out
    assert "old/Account → new/客户" in shown
    assert "synonym: phone ~ tel" in shown
    text = (folder / "mappings/客户.yaml").read_text(encoding="utf-8")
    assert "  tel: {from: Phone}  # 0." in text
    assert 'lookup: "客户"' in text
    assert 'lookup: "人员"' in text
    assert "source columns that go nowhere yet: select" in text
    assert run_app(["-C", str(folder), "check"]) == 0


def test_a_file_that_is_there_is_never_overwritten(folder: Path) -> None:
    (folder / "mappings").mkdir()
    mine = folder / "mappings/客户.yaml"
    shutil.copy(folder / "migration.yaml", mine.with_suffix(".txt"))
    suggest_mappings(load_project(folder), write=True)
    before = mine.read_bytes()
    again = suggest_mappings(load_project(folder), write=True)
    assert [item.written for item in again.proposals] == [None, None]
    assert all(item.not_written.startswith("there is a mapping") for item in again.proposals)
    assert [item.mapped_by for item in again.proposals if item.name == "客户"] == [("客户",)]
    with pytest.raises(ProjectError, match="already"):
        suggest_mappings(load_project(folder), source="old/Account", target="new/客户", write=True)
    assert mine.read_bytes() == before


def test_a_link_without_a_mapping_is_a_question_and_a_required_field_without_a_source_is_told(
    folder: Path,
) -> None:
    report = suggest_mappings(load_project(folder), source="old/Account", target="new/客户", write=True)
    (item,) = report.proposals
    assert item.questions["owner"] == "no mapping of User yet: look it up once there is one"
    assert report.problems == ()
    other = suggest_mappings(load_project(folder), source="old/User", target="new/客户", write=False)
    assert other.proposals[0].suggestion.uncovered == ("name",)


def test_the_answer_is_one_json_object(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        run_app(
            ["-C", str(folder), "map", "suggest", "--source", "old/Account", "--target", "new/客户", "--json"]
        )
        == 0
    )
    found = json.loads(capsys.readouterr().out)["proposals"][0]
    lines = {line["target"]: line for line in found["lines"]}
    assert lines["tel"]["source"] == "Phone"
    assert lines["tel"]["confidence"] > THRESHOLD
    assert found["unused_columns"] == ["select"]
    assert found["threshold"] == THRESHOLD
    assert not (folder / "mappings").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--source", "odl"], "did you mean 'old'"),
        (["--source", "old/Acount"], "did you mean 'Account'"),
        (["--target", "new/zzz"], "new has no object 'zzz'"),
    ],
)
def test_names_that_are_not_there_are_told(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert run_app(["-C", str(folder), "map", "suggest", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_staged_values_are_looked_at_whatever_the_columns_are_called(tmp_path: Path) -> None:
    rows = "".join(
        f'{at},"say ""hi""\n{at}",user{at}@example.com,{"热" if at % 2 else "冷"}\n' for at in range(40)
    )
    (tmp_path / "in").mkdir()
    (tmp_path / "in/Order.csv").write_text(f'Id,"we ""quote"".it",select,级别\n{rows}', encoding="utf-8")
    project = tmp_path / "project"
    made = [
        "init",
        str(project),
        "--source",
        f"old={tmp_path / 'in'}",
        "--target",
        f"sqlite:///{tmp_path / 'new.db'}",
    ]
    assert run_app(made) == 0
    for path in (project / "mappings").iterdir():
        path.unlink()
    target = thing(
        "orders", field("mail", "Contact"), field("email", "E-mail"), field("key", unique=True),
        field("rating", "级别", T.PICKLIST, values=("1", "2"), labels={"1": "热", "2": "冷"}),
    )  # fmt: skip
    (project / "schemas/new.json").write_text(schemas_to_json([target]), encoding="utf-8")
    (found,) = suggest_mappings(load_project(project), source="old/Order", target="new/orders").proposals
    lines = {line.target.name: line for line in found.suggestion.lines}
    assert lines["rating"].values is not None
    assert sorted(lines["rating"].values.entries) == [("冷", "2"), ("热", "1")]
    facts = found.suggestion.facts
    assert facts["select"].forms["e-mail addresses"] == 1.0
    assert facts["select"].unique
    assert facts['we "quote".it'].distinct == 40
    assert facts["级别"].values == ("冷", "热")


def test_an_opt_out_of_mail_is_no_mail_address() -> None:
    flags = ColumnFacts(
        rows=50, filled=50, distinct=2, longest=1, forms={"e-mail addresses": 0.0}, values=("0", "1")
    )
    mine, theirs = field("EmailOptOut", kind=T.BOOLEAN), field("donotemail", kind=T.BOOLEAN)
    found = propose(thing("A", mine), thing("B", theirs), seen={"EmailOptOut": flags})
    assert found.chosen == {"donotemail": "EmailOptOut"}
    assert not any("addresses" in words for words in found.lines[0].ranked[0].evidence)


def test_sources_are_the_systems_with_saved_schemas_unless_named(folder: Path) -> None:
    more = 'systems:\n  spare: {connector: sql, url: "sqlite:///spare.db"}'
    text = (folder / "migration.yaml").read_text(encoding="utf-8").replace("systems:", more)
    (folder / "migration.yaml").write_text(text, encoding="utf-8")
    report = suggest_mappings(load_project(folder), target="new")
    assert {item.systems[0] for item in report.proposals} == {"old"}
    with pytest.raises(FatalError, match="no such file"):
        suggest_mappings(load_project(folder), source="spare", target="new")
    with pytest.raises(ProjectError, match="which system do the records go to: new, spare"):
        suggest_mappings(load_project(folder))


def test_values_that_both_sides_hold_speak_for_a_pair() -> None:
    codes = tuple(f"C{number}" for number in range(40))
    facts = ColumnFacts(rows=40, filled=40, distinct=40, longest=3, values=codes)
    mine, theirs = thing("A", field("batch")), thing("B", field("batch_lot"))
    (alone,) = propose(mine, theirs, threshold=0.3).lines[0].ranked
    (both,) = (
        propose(mine, theirs, threshold=0.3, seen={"batch": facts}, there={"batch_lot": facts})
        .lines[0]
        .ranked
    )
    assert both.evidence[-2:] == ("100% of 40 values are found in the target", "both unique")
    assert both.confidence > alone.confidence
