"""In-toto statements: what is said (a predicate) about which files (subjects). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gopub.build.artifact import FileRef
from gopub.canon import Json

STATEMENT_V1 = "https://in-toto.io/Statement/v1"
STATEMENT_V01 = "https://in-toto.io/Statement/v0.1"
"""Read, never written: cosign attests with version 0.1 to this day, and its fields are the same."""
PAYLOAD_TYPE = "application/vnd.in-toto+json"


@dataclass(frozen=True, slots=True)
class Subject:
    """A file that a statement is about: its name and hex SHA-256."""

    name: str
    digest: str

    @classmethod
    def of(cls, ref: FileRef) -> Subject:
        """The file as a subject."""
        return cls(ref.name, ref.digest)


def statement(subjects: Sequence[Subject], predicate_type: str, predicate: Json) -> dict[str, Json]:
    """An in-toto statement of version 1; subjects sorted by name."""
    return {
        "_type": STATEMENT_V1,
        "subject": [
            {"name": subject.name, "digest": {"sha256": subject.digest}}
            for subject in sorted(set(subjects), key=lambda subject: (subject.name, subject.digest))
        ],
        "predicateType": predicate_type,
        "predicate": predicate,
    }


def subject_digests(said: Mapping[str, Any]) -> frozenset[str]:
    """The hex SHA-256 of every subject of a verified statement."""
    return frozenset(str(subject["digest"]["sha256"]) for subject in said["subject"] if "sha256" in subject["digest"])
