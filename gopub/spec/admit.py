"""``admit``: which releases an environment lets in, as data. What spans several of its keys is in ``admitrules.py``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from gopub.spec.base import Model
from gopub.spec.fields import PositiveSeconds, Whole, Word, refuse, telling
from gopub.spec.forbidden import forbidden
from gopub.spec.licences import denied_licence
from gopub.spec.texts import RefPattern, RepositoryPattern

OLDEST = 36500 * 86400.0
LONGEST = 500
"""Characters of a pattern."""
SHORTEST, LASTING = 60.0, 3650 * 86400.0
"""Seconds for which a statement may hold."""
GLOB_HINT = (
    "patterns are no regular expressions: * stands for any text without a /, ** for any text, all else for itself"
)
_REGEX = re.compile(r"[\\^|?]|\$$|[.)\]]\+|\[[^\]]*\]|\([^)]*\)|(?:^|[/@:])\.\*|\{\d*,?\d*\}")
_LETTERS = re.compile(r"[!-~]+")
_SCHEME = re.compile(r"^[A-Za-z*][A-Za-z0-9+.*-]*://")
_OF_HERE = re.compile(r"http://(127\.[0-9.]+|\[::1\]|localhost)(:[0-9]+)?(/.*)?")
_ISSUER = re.compile(r"https?://[A-Za-z0-9.\[\]:-]+(/\S*)?")


def like_a_regex(text: str) -> str:
    """What in a pattern means something in a regular expression and nothing here; empty where nothing does."""
    found = _REGEX.search(text)
    return found[0] if found else ""


def _glob(value: str) -> str:
    if part := like_a_regex(value):
        raise refuse("GP328", f"{value!r} is written like a regular expression: {part!r}", GLOB_HINT)
    if len(value) > LONGEST or not _LETTERS.fullmatch(value):
        hint = f"letters of ASCII as in certificates, no spaces, and at most {LONGEST} characters"
        raise refuse("GP328", f"{value!r} is no pattern of names", hint)
    if not _SCHEME.sub("", value).strip("*/@:."):
        raise refuse("GP328", f"{value!r} is everybody", "write at least whose it is: https://gitlab.corp/trade/**")
    return value


def _issuer(value: str) -> str:
    if not _ISSUER.fullmatch(value):
        hint = "write it as https://gitlab.corp; only its path may have a *"
        raise refuse("GP328", f"{value!r} is not the address of an issuer", hint)
    if value.startswith("http://") and not _OF_HERE.fullmatch(value):
        hint = "whoever is on the way could issue tokens in its name; http is for an issuer on this machine"
        raise refuse("GP328", f"{value!r} is an issuer without https", hint)
    return value


def _lifetime(value: float) -> float:
    if value > OLDEST:
        raise refuse("GP121", "longer than any release is of use", "write at most 36500d, or leave `fresh` out")
    return value


def _some(value: Any) -> Any:
    if isinstance(value, (list, tuple)) and not value:
        raise refuse("GP329", "the list is empty", "name at least one, or leave the key out: an empty list is not all")
    return value


def _package(value: str) -> str:
    return forbidden(value).text


IdentityPattern = Annotated[Word, AfterValidator(_glob)]
"""Who a certificate names, or a pattern of them: * stands for any text without a slash, ** for any text."""

IssuerPattern = Annotated[Word, AfterValidator(_glob), AfterValidator(_issuer)]
"""The address of who vouches for an identity; its path may be a pattern."""

ForbiddenPackage = Annotated[Word, AfterValidator(telling(_package))]
"""A package, with versions or without, see forbidden.py."""

DeniedLicence = Annotated[Word, AfterValidator(telling(denied_licence))]
"""An SPDX licence id, or a pattern of them."""


def _lasting(value: float) -> float:
    if not SHORTEST <= value <= LASTING:
        raise refuse("GP121", "a statement holds for a minute at the least and ten years at the most", "such as 30d")
    return value


class SignerNamed(Model):
    """Somebody: a key, or an identity that an issuer vouches for."""

    scalar_is_first = False

    identity: IdentityPattern | None = None
    """Who the certificate names, or a pattern; needs `issuer` and `trust`."""
    issuer: IssuerPattern | None = None
    """Who vouches for the identity: the address of the OIDC issuer."""
    trust: Word | None = None
    """A connection of kind sigstore: whose certificates, logs and times are believed."""
    key: Word | None = None
    """A public key (PEM file, relative to gopub.yaml); with `trust`, what logs and timestamps say is checked by it."""


class SignerAdmitted(SignerNamed):
    """Somebody whose signature counts, or several who must all have signed."""

    all: Annotated[tuple[SignerNamed, ...], BeforeValidator(_some)] | None = None
    """Keys and identities of which each must have signed the release, see gopub countersign; stands alone."""

    @property
    def each(self) -> tuple[SignerNamed, ...]:
        """Everybody who is named in it."""
        return self.all or (self,)


class SourceAdmitted(Model):
    """From where a release must have been built, by its provenance, and by whom."""

    repository: RepositoryPattern | None = None
    """A repository, or a pattern of them; without it the one that this project is a clone of."""
    ref: RefPattern | None = None
    """A branch or tag, or a pattern of them; without it any."""
    builder: IdentityPattern | None = None
    """The builder's id, or a pattern of them; without it gopub's own."""
    level: Whole = Field(1, ge=0, le=3)
    """The SLSA build level that the builder is trusted with; what a build says of itself never raises it."""


class LicencesAdmitted(Model):
    """Which licences the packages of a release may have."""

    scalar_is_first = False

    deny: Annotated[tuple[DeniedLicence, ...], BeforeValidator(_some)] | None = None
    """SPDX ids, or patterns of them, that no package may have; one whose licence is unknown is refused, too."""


class SbomAdmitted(Model):
    """What must be in the list of a release's packages, and what must not."""

    scalar_is_first = False

    formats: Annotated[tuple[Literal["spdx", "cyclonedx"], ...], BeforeValidator(_some)] | None = None
    """Formats that every target must have; without it one of any."""
    forbid: Annotated[tuple[ForbiddenPackage, ...], BeforeValidator(_some)] | None = None
    """Packages that may not be in it: "github.com/x/y@<1.4.2", or a name for every version."""
    licences: LicencesAdmitted = LicencesAdmitted()
    """Their licences."""


class StatementMade(Model):
    """The statement that an admission makes, for whoever acts on it without gopub."""

    scalar_is_first = False  # a connection and a path look alike

    key: Word | None = None
    """Who signs it: a connection of kind key, or a path; without it the local pair of admission."""
    lasts: Annotated[PositiveSeconds, AfterValidator(_lasting)] = 30 * 86400.0
    """How long after it was made a release may enter by it."""


class RolesKnown(Model):
    """The list of which key holds which role, and who must have signed it."""

    scalar_is_first = False

    file: Word = Field(examples=["roles"])
    """The list, relative to gopub.yaml."""
    root: Word = Field(examples=["root.pub"])
    """The root's public key (PEM file, relative to gopub.yaml)."""


class AdmitSpec(Model):
    """Whose signature an environment accepts, over what."""

    scalar_is_first = False  # a key, an identity and a connection look alike

    key: Word | None = None
    """The public key (PEM file, relative to gopub.yaml); without it, and without `signed`, the local one."""
    signed: Annotated[tuple[SignerAdmitted, ...], BeforeValidator(_some)] | None = Field(default=None)
    """Whose signatures count, one entry of them: an identity, a key, or `all` of several."""
    provenance: SourceAdmitted = SourceAdmitted()
    """The source that it must have been built from."""
    sbom: SbomAdmitted = SbomAdmitted()
    """Its packages."""
    fresh: Annotated[PositiveSeconds, AfterValidator(_lifetime)] | None = None
    """How long ago it may have been signed; without it any time."""
    mode: Literal["enforce", "warn"] = "enforce"
    """warn: what breaks the policy is told and not refused, but for what is never safe (docs/concepts/admission.md)."""
    statement: StatementMade = StatementMade()
    """The statement of an admission."""
    roles: RolesKnown | None = None
    """Which keys may sign releases and admissions; without it those that are named here, or the local ones."""

    def named(self) -> Iterator[tuple[str, SignerNamed]]:
        """Everybody in ``signed``, each with the place where they stand, such as ``signed[0].all[1]``."""
        for index, one in enumerate(self.signed or ()):
            for inner, signer in enumerate(one.each):
                yield f"signed[{index}]" + (f".all[{inner}]" if one.all else ""), signer
