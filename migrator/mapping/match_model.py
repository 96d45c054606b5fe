"""A model of duplicates in a file of its own beside the mapping: which fields mean what, and what of the rest is fixed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, model_validator

from migrator.core.document import Document, TreePath, did_you_mean
from migrator.core.errors import Location, Problem, ProjectError, raise_errors
from migrator.core.mapped import MatchModel, Meaning, Reach
from migrator.mapping.model_base import Strict, problem

AUTO = "auto"
FOLDER = "dedupe"
_DEFAULT = MatchModel()
_PAGE = "docs/dedupe.md tells what every key takes"


class MatchRule(Strict):
    """What is fixed of a model; all that is left out is worked out from the data."""

    fields: Annotated[
        dict[str, Meaning], Field(description="Field → what it means; `none`: it is not compared.")
    ] = Field(default_factory=dict)
    blocking: Annotated[
        tuple[Annotated[tuple[str, ...], Field(min_length=1)], ...],
        Field(description="Lists of fields; records that agree in all fields of one list are compared."),
    ] = ()
    automatic: Annotated[
        float | None, Field(gt=0, le=1, description="From this probability on, two records are joined.")
    ] = None
    review: Annotated[
        float | None, Field(gt=0, le=1, description="From this probability on, a person is asked.")
    ] = None
    reach: Annotated[
        Reach,
        Field(description="`across`: each source holds nothing twice, only records of two are compared."),
    ] = Reach.ALL
    largest_block: Annotated[
        int, Field(ge=2, description="A blocking value that more records share brings none together.")
    ] = _DEFAULT.largest_block
    pairs_per_record: Annotated[
        int, Field(ge=1, description="Blocking that compares more pairs a record than this is refused.")
    ] = _DEFAULT.pairs_per_record

    @model_validator(mode="after")
    def _bands_in_order(self) -> MatchRule:
        if self.automatic is not None and self.review is not None and self.review > self.automatic:
            raise problem(
                f"review ({self.review:g}) stands above automatic ({self.automatic:g})",
                "pairs from review on are asked about, those from automatic on are joined",
            )
        return self


def find_model(name: str, project: Path, place: Location, *, fields: tuple[str, ...] = ()) -> MatchModel:
    """The model that is called `name`: `auto`, or the file dedupe/NAME.yaml of the project.

    Raises `ProjectError` at `place` when there is no such file, and in the file for every problem in it; with `fields`,
    also for names that are none of them.
    """
    if name == AUTO:
        return MatchModel()
    path = project / FOLDER / f"{name}.yaml"
    if not path.is_file():
        known = [AUTO, *sorted(file.stem for file in (project / FOLDER).glob("*.yaml"))]
        raise ProjectError.at(
            place,
            f"there is no model {name!r}: no file {FOLDER}/{name}.yaml",
            did_you_mean(name, known, noun="models"),
        )
    return read_model(path, f"{FOLDER}/{name}.yaml", fields=fields)


def read_model(path: Path, shown_as: str = "", *, fields: tuple[str, ...] = ()) -> MatchModel:
    """The model in a file; raises `ProjectError` with every problem in it."""
    document = Document.read(path, shown_as=shown_as or str(path))
    data = document.texts()
    if not isinstance(data, dict):
        raise ProjectError.at(
            document.locate(()), "a model holds keys: fields, blocking, automatic, …", _PAGE
        )
    try:
        rule = MatchRule.model_validate(data)
    except ValidationError as error:
        raise_errors(_told(item, document) for item in error.errors(include_url=False))
        raise
    if fields:
        raise_errors(_unknown(rule, document, fields))
    return MatchModel(
        path.stem, rule.fields, rule.blocking, rule.automatic, rule.review, rule.reach, rule.largest_block,
        rule.pairs_per_record,
    )  # fmt: skip


def _unknown(rule: MatchRule, document: Document, fields: tuple[str, ...]) -> list[Problem]:
    named: list[tuple[TreePath, str]] = [(("fields", name), name) for name in rule.fields]
    named += [
        (("blocking", number, place), name)
        for number, names in enumerate(rule.blocking)
        for place, name in enumerate(names)
    ]
    return [
        Problem(
            document.locate_key(path),
            f"{name!r} is no field of what is matched",
            did_you_mean(name, fields, noun="fields"),
        )
        for path, name in named
        if name not in fields
    ]


def _told(item: object, document: Document) -> Problem:
    """One of pydantic's errors in our words."""
    assert isinstance(item, dict)  # noqa: S101 (pydantic's own type is a TypedDict)
    path = tuple(part for part in item["loc"] if part != "[key]")
    last = str(path[-1]) if path else "the model"
    match item["type"]:
        case "mapping":
            return Problem(document.locate(path), item["ctx"]["message"], item["ctx"]["hint"])
        case "extra_forbidden":
            return Problem(
                document.locate_key(path),
                f"unknown key {last!r}",
                did_you_mean(last, MatchRule.model_fields, noun="keys"),
            )
        case "enum":
            words = [word.value for word in (Reach if last == "reach" else Meaning)]
            return Problem(
                document.locate(path),
                f"{item['input']!r} is not allowed here",
                did_you_mean(str(item["input"]), words, noun="words"),
            )
        case _:
            return Problem(
                document.locate(path), f"{last}: {item['msg'][:1].lower()}{item['msg'][1:]}", _PAGE
            )
