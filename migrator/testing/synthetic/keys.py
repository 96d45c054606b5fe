"""Record ids as the two systems make them: Salesforce's 18 characters with their check letters, and GUIDs."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from migrator.testing.synthetic.chance import Chance

_BASE62 = np.frombuffer(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", np.uint8)
_BASE32 = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345", np.uint8)
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)

PREFIXES = {
    "CaseComment": "00a",
    "EmailMessage": "02s",
    "Group": "00G",
    "Pricebook2": "01s",
    "PricebookEntry": "01u",
    "Profile": "00e",
    "Account": "001",
    "Contact": "003",
    "User": "005",
    "Opportunity": "006",
    "Attachment": "00P",
    "Task": "00T",
    "Order__c": "a01",
    "Lead": "00Q",
    "OpportunityLineItem": "00k",
    "CampaignMember": "00v",
    "Event": "00U",
    "Note": "002",
    "RecordType": "012",
    "Product2": "01t",
    "ContentVersion": "068",
    "ContentDocument": "069",
    "ContentDocumentLink": "06A",
    "Case": "500",
    "Campaign": "701",
}


def salesforce_ids(object_name: str, numbers: np.ndarray) -> pa.Array:
    """Ids of 18 characters: prefix, instance, counter in base 62, then one letter for the capitals of every five."""
    letters = np.empty((len(numbers), 18), np.uint8)
    letters[:, :6] = np.frombuffer(f"{PREFIXES[object_name]}5g0".encode(), np.uint8)
    rest = numbers.astype(np.int64) * 7_777_777 + 1_000_003  # scattered, so that capitals vary
    rest %= 62**9
    for column in range(14, 5, -1):
        letters[:, column] = _BASE62[rest % 62]
        rest //= 62
    capitals = (letters[:, :15] >= 65) & (letters[:, :15] <= 90)
    weights = 1 << np.arange(5)
    for part in range(3):
        letters[:, 15 + part] = _BASE32[(capitals[:, part * 5 : part * 5 + 5] * weights).sum(axis=1)]
    return _text(letters)


def guids(chance: Chance, table: str, numbers: np.ndarray) -> pa.Array:
    """Random-looking GUIDs, lower case with dashes, always the same for the same record."""
    halves = [chance.of(table).bits(f"guid {half}", numbers) for half in (0, 1)]
    digits = np.empty((len(numbers), 32), np.uint8)
    for half, bits in enumerate(halves):
        for place in range(16):
            digits[:, half * 16 + place] = _HEX[(bits >> np.uint64(4 * place)) & np.uint64(15)]
    digits[:, 12] = ord("4")
    letters = np.full((len(numbers), 36), ord("-"), np.uint8)
    letters[:, [*range(8), *range(9, 13), *range(14, 18), *range(19, 23), *range(24, 36)]] = digits
    return _text(letters)


def _text(letters: np.ndarray) -> pa.Array:
    rows, width = letters.shape
    offsets = np.arange(rows + 1, dtype=np.int32) * np.int32(width)
    return pa.Array.from_buffers(
        pa.string(), rows, [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(letters))]
    )
