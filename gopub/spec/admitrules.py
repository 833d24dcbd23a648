"""What is wrong between the keys of ``admit``. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from gopub.spec.admit import GLOB_HINT, AdmitSpec, SignerAdmitted, SignerNamed, like_a_regex
from gopub.spec.tree import Path

Wrong: TypeAlias = tuple[Path, str, str, str]
"""The path below ``admit``, the code, the text and the hint."""

_BOTH = "an identity is nobody without who vouches for it and whose certificates are believed"


def wrong_admit(admit: AdmitSpec) -> Iterator[Wrong]:
    """Everything, in the order of the keys."""
    if admit.key is not None and admit.signed is not None:
        yield ("key",), "GP327", "`signed` says whose signatures count as well", "move it there: signed: [{key: FILE}]"
    for index, signer in enumerate(admit.signed or ()):
        for path, code, text, hint in _entry(signer):
            yield ("signed", index, *path), code, text, hint
        if signer in (admit.signed or ())[:index]:
            yield ("signed", index), "GP134", "the same stands before", "remove one of them"
    yield from _twice(admit)
    for name in ("repository", "ref"):
        text = getattr(admit.provenance, name)
        if text is not None and (part := like_a_regex(text)):
            problem = f"{text!r} is written like a regular expression: {part!r}"
            yield ("provenance", name), "GP328", problem, GLOB_HINT


def _entry(signer: SignerAdmitted) -> Iterator[Wrong]:
    if signer.all is None:
        yield from wrong_signer(signer)
        return
    if beside := [name for name in SignerNamed.model_fields if getattr(signer, name) is not None]:
        yield ("all",), "GP327", f"`all` stands beside {', '.join(sorted(beside))}", "make an entry of `all` of it"
    if len(signer.all) == 1:
        yield ("all",), "GP327", "all of one is that one", "write it without `all`, or name who else must have signed"
    for index, one in enumerate(signer.all):
        for path, code, text, hint in wrong_signer(one):
            yield ("all", index, *path), code, text, hint
        if one in signer.all[:index]:
            yield ("all", index), "GP134", "the same stands before", "remove one of them"


def _twice(admit: AdmitSpec) -> Iterator[Wrong]:
    sbom = admit.sbom
    lists: dict[tuple[str, ...], Sequence[str]] = {
        ("formats",): sbom.formats or (),
        ("forbid",): sbom.forbid or (),
        ("licences", "deny"): sbom.licences.deny or (),
    }
    for path, entries in lists.items():
        for index, entry in enumerate(entries):
            if entry in entries[:index]:
                yield ("sbom", *path, index), "GP134", "the same stands before", "remove one of them"


def wrong_signer(signer: SignerNamed) -> Iterator[Wrong]:
    """What is wrong between the keys of one entry of ``signed``."""
    given = {name for name in ("identity", "issuer", "trust") if getattr(signer, name) is not None}
    if signer.key is not None and given == {"trust"}:
        return  # what a log and an authority for timestamps say of its signatures is checked by that
    if signer.key is not None and given:
        hint = "make two entries of it: each is enough"
        yield ("key",), "GP327", f"a key stands beside {', '.join(sorted(given))}", hint
    elif signer.key is None and not given:
        yield (), "GP327", "it names nobody", "write {key: FILE}, or {identity, issuer, trust}"
    elif given and "identity" not in given:
        hint = "write identity: without it everybody whom the issuer knows would be meant"
        yield (), "GP327", "`identity` is missing", hint
    elif given:
        for name in ("issuer", "trust"):
            if name not in given:
                yield (), "GP327", f"`{name}` is missing: {_BOTH}", "write identity, issuer and trust together"
