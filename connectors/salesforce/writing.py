"""Rows on their way into one object: in collections of 200, or as one job of Bulk API 2.0 where there are many.

Collections answer in the order of their request, a job in any order: its answers carry the key's own column (or the id)
and are matched by that. Audit fields can be set at creation only, never by an upsert, and some keys do not tell letter
case apart: then the keys are looked up first, what is missing is created, and the rest updated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import pyarrow as pa

from connectors.salesforce import payload, soql
from connectors.salesforce.bulk import MOST_BYTES, Jobs
from connectors.salesforce.client import Client, unexpected
from connectors.salesforce.described import Described
from connectors.salesforce.failures import FULL, Said, bulk_refusal, row_refusal
from migrator.core.errors import CallRefused, FatalError, RetryableError

Answers: TypeAlias = list[dict[str, Any]]
_COLLECTION = 200
"""Most records of one collections request."""
_GONE = frozenset({"ENTITY_IS_DELETED", "NOT_FOUND"})
_ALIKE = 10
"""So many rows refused one by one in the same words, and none taken: it is not the rows."""


@dataclass(frozen=True, slots=True)
class Way:
    """One kind of write: its request as a collection, and its name as a job."""

    operation: str
    method: str
    path: str
    key: str
    """The column whose values answers are matched by."""


def creating(key: str) -> Way:
    """New records."""
    return Way("insert", "POST", "composite/sobjects", key)


def updating() -> Way:
    """Records by their ids."""
    return Way("update", "PATCH", "composite/sobjects", "Id")


def upserting(object_name: str, key: str) -> Way:
    """Records by external key."""
    return Way("upsert", "PATCH", f"composite/sobjects/{soql.name(object_name)}/{soql.name(key)}", key)


@dataclass(frozen=True, slots=True)
class Writing:
    """The writes into one object."""

    client: Client
    jobs: Jobs
    found: Described

    def send(self, way: Way, rows: pa.Table, keys: Sequence[str]) -> Answers:
        """One answer per row; `keys` are the external keys by which the caller knows them."""
        if self._is_large(rows):
            body = payload.bulk_csv(rows)
            if len(body) > MOST_BYTES and rows.num_rows > 1:
                half = rows.num_rows // 2
                return self.send(way, rows.slice(0, half), keys[:half]) + self.send(
                    way, rows.slice(half), keys[half:]
                )
            return self._as_job(way, rows, body, keys)
        records = payload.json_records(rows, self.found.name)
        answers: Answers = []
        for start in range(0, len(records), _COLLECTION):
            end = start + _COLLECTION
            answers += self._as_collection(way, records[start:end], keys[start:end])
        return answers

    def delete(self, ids: Mapping[str, str]) -> Answers:
        """Delete records, external key → id; they go to the recycle bin."""
        keys = list(ids)
        if self._is_large(pa.table({"Id": pa.array(ids.values(), pa.string())})):
            rows = pa.table({"Id": pa.array(ids.values(), pa.string())})
            return self._as_job(Way("delete", "DELETE", "", "Id"), rows, payload.bulk_csv(rows), keys)
        answers: Answers = []
        for start in range(0, len(keys), _COLLECTION):
            chunk = keys[start : start + _COLLECTION]
            params = {"ids": ",".join(ids[key] for key in chunk), "allOrNone": "false"}
            raw = self.client.rest(
                f"delete {self.found.name}", "composite/sobjects", method="DELETE", params=params
            )
            answers += self._read(raw, chunk, "deleted")
        return answers

    def _is_large(self, rows: pa.Table) -> bool:
        threshold = self.client.settings.bulk_write_from
        return 0 < threshold <= rows.num_rows and not payload.holds_null_sign(rows)

    # -- collections

    def _as_collection(self, way: Way, records: Sequence[str], keys: Sequence[str]) -> Answers:
        try:
            return self._request(way, records, keys)
        except CallRefused as refused:
            if len(records) == 1:
                return [refusal(keys[0], Said(refused.code, refused.message))]
        return self._one_by_one(way, records, keys)

    def _one_by_one(self, way: Way, records: Sequence[str], keys: Sequence[str]) -> Answers:
        """A row that is no JSON of its object's makes Salesforce refuse the whole request: the others go without it."""
        answers: Answers = []
        spans = [(0, len(records))]
        while spans:
            start, end = spans.pop()
            try:
                answers += self._request(way, records[start:end], keys[start:end])
            except CallRefused as refused:
                if end - start > 1:
                    middle = (start + end) // 2
                    spans += [(middle, end), (start, middle)]
                    continue
                answers.append(refusal(keys[start], Said(refused.code, refused.message)))
                if len(answers) == _ALIKE and all(item["code"] == refused.code for item in answers):
                    raise FatalError(
                        refused.message,
                        hint=f"the first {_ALIKE} rows were refused in the same words: check the mapping",
                    ) from refused
        return answers

    def _request(self, way: Way, records: Sequence[str], keys: Sequence[str]) -> Answers:
        raw = self.client.rest(
            f"{way.operation} {self.found.name}",
            way.path,
            method=way.method,
            data=payload.collection(records),
        )
        return self._read(raw, keys, "created" if way.operation == "insert" else "updated")

    def _read(self, raw: Any, keys: Sequence[str], done: str) -> Answers:
        """Answers of a collection: one for each record, in the order they were sent."""
        if (
            not isinstance(raw, list)
            or len(raw) != len(keys)
            or not all(isinstance(item, Mapping) for item in raw)
        ):
            count = len(raw) if isinstance(raw, list) else "no list of"
            raise RetryableError(
                f"Salesforce, {self.found.name}: {count} answers came to {len(keys)} records",
                hint="what became of them is settled by their keys: run again",
            )
        return [self._answer(key, item, done) for key, item in zip(keys, raw, strict=True)]

    def _answer(self, key: str, item: Mapping[str, Any], done: str) -> dict[str, Any]:
        if item.get("success") is not True:
            said = row_refusal(item.get("errors"))
            _stop_when_full(said)
            gone = said.code in _GONE and done in {"updated", "deleted"} and item.get("created") is None
            return written(key, None, "missing") if gone else refusal(key, said)
        record_id = item.get("id")
        if not isinstance(record_id, str):
            raise unexpected(f"write {self.found.name}", "one with the ids of the records")
        return written(key, record_id, "created" if item.get("created") is True else done)

    # -- jobs

    def _as_job(self, way: Way, rows: pa.Table, body: bytes, keys: Sequence[str]) -> Answers:
        request = {
            "object": self.found.name, "operation": way.operation, "contentType": "CSV", "lineEnding": "LF",
            "columnDelimiter": "COMMA",
            **({"externalIdFieldName": way.key} if way.operation == "upsert" else {}),
        }  # fmt: skip
        job, results = self.jobs.ingest(request, body)
        good, bad = results["successfulResults"], results["failedResults"]
        if job.state != "JobComplete" and not good.num_rows and not bad.num_rows:
            raise FatalError(
                f"Salesforce, {self.found.name}: the job ended as {job.state}: {job.error[:300]}"
            )
        sent = dict(zip(rows.column(way.key).cast(pa.string()).to_pylist(), keys, strict=True))
        answers = self._of_job(way, good, sent) + self._failures_of_job(way, bad, sent)
        if len(answers) != len(keys) or len({item["key"] for item in answers}) != len(keys):
            raise RetryableError(
                f"Salesforce, {self.found.name}: the job ended as {job.state} with {len(answers)} answers"
                f" to {len(keys)} records: {job.error[:200]}",
                hint="what became of the others is settled by their keys: run again",
            )
        return answers

    def _of_job(self, way: Way, good: pa.Table, sent: Mapping[str, str]) -> Answers:
        done = {"insert": "created", "delete": "deleted"}.get(way.operation, "updated")
        ids, created = _results(good, "sf__Id"), _results(good, "sf__Created")
        return [
            written(sent[key], record_id, "created" if made == "true" and way.operation == "upsert" else done)
            for key, record_id, made in zip(self._keys(way, good), ids, created, strict=True)
            if key in sent
        ]

    def _failures_of_job(self, way: Way, bad: pa.Table, sent: Mapping[str, str]) -> Answers:
        answers = []
        for key, error in zip(self._keys(way, bad), _results(bad, "sf__Error"), strict=True):
            said = bulk_refusal(error or "")
            _stop_when_full(said)
            if key in sent:
                gone = said.code in _GONE and way.operation in {"update", "delete"}
                answers.append(written(sent[key], None, "missing") if gone else refusal(sent[key], said))
        return answers

    def _keys(self, way: Way, rows: pa.Table) -> list[Any]:
        return _results(rows, way.key) if way.key in rows.column_names else _results(rows, "sf__Id")


def _results(rows: pa.Table, name: str) -> list[Any]:
    if not rows.num_rows:
        return []
    if name not in rows.column_names:
        raise unexpected("Bulk API results", f"one with the column {name}")
    listed: list[Any] = rows.column(name).to_pylist()
    return listed


def _stop_when_full(said: Said) -> None:
    if said.code in FULL:
        raise FatalError(
            f"Salesforce: {said.code}: {said.message[:200]}",
            hint="make room there, then run again: nothing is lost",
        )


def written(key: str, record_id: str | None, outcome: str) -> dict[str, Any]:
    """The answer for a row that was taken, or that is not there."""
    return {
        "key": key, "target_id": record_id, "outcome": outcome, "code": None, "field": None, "message": None
    }  # fmt: skip


def refusal(key: str, said: Said) -> dict[str, Any]:
    """The answer for a row that was refused."""
    return {**written(key, None, "refused"), "code": said.code, "field": said.field, "message": said.message}
