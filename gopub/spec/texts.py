"""The kinds of text in gopub.yaml: paths, URLs, header names, selectors, windows, targets."""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from gopub.spec.endpoints import AUTO, pattern
from gopub.spec.fields import Word, matching, refuse, telling
from gopub.spec.near import did_you_mean
from gopub.spec.selector import parse_selector
from gopub.spec.windows import parse_window

_ARCHITECTURES = {
    "aix": "ppc64",
    "android": "386 amd64 arm arm64",
    "darwin": "amd64 arm64",
    "dragonfly": "amd64",
    "freebsd": "386 amd64 arm arm64",
    "illumos": "amd64",
    "ios": "amd64 arm64",
    "js": "wasm",
    "linux": "386 amd64 arm arm64 loong64 mips mips64 mips64le mipsle ppc64 ppc64le riscv64 s390x",
    "netbsd": "386 amd64 arm arm64",
    "openbsd": "386 amd64 arm arm64 ppc64 riscv64",
    "plan9": "386 amd64 arm",
    "solaris": "amd64",
    "wasip1": "wasm",
    "windows": "386 amd64 arm64",
}
GO_TARGETS = frozenset(f"{system}/{name}" for system, names in _ARCHITECTURES.items() for name in names.split())
"""What ``go tool dist list`` of Go 1.26 prints."""

_LONGEST_PATTERN = 300
_SOURCE_HINT = 'write "https://git.example/team/orders" or "https://git.example/team/*"; * does not cross a /, ** does'
_REF_PATTERN = re.compile(r"(?![-/])[^\s~^:?\[\\]{1,200}")
_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"  # noqa: S105 - a token of RFC 9110, the shape of a header name
_URL = re.compile(r"https?://[A-Za-z0-9._~:/?%@=&+,;\[\]-]+")


def _inside(value: str) -> str:
    parts = PurePosixPath(value).parts
    if value.startswith(("/", "~")) or ".." in parts or "\\" in value:
        raise refuse("GP122", f"{value!r} leads out of the project", 'write a path below gopub.yaml, without ".."')
    if not parts or value.endswith("/"):
        raise refuse("GP122", f"{value!r} is not a file", "name a file")
    return value


def _package(value: str) -> str:
    if value != "." and not value.startswith("./"):
        raise refuse("GP122", f"{value!r} is not a folder of the project", f'write "./{value.lstrip("/.")}"')
    if value.endswith(".go"):
        folder = value.rpartition("/")[0] or "."
        raise refuse("GP122", f"{value!r} is a file", f'name the package\'s folder: "{folder}"')
    return value if value == "." else _inside(value.rstrip("/"))


def http_url(value: str) -> str:
    """The value, where it is an http or https URL without credentials."""
    if "@" in value.partition("//")[2].partition("/")[0]:
        # The value is not shown: a log or a terminal is no place for a password either.
        raise refuse("GP143", "the URL holds a user name or a password", "leave them out of the URL")
    if "{{" in value:
        raise refuse("GP125", f"{value!r} is no template: nothing is filled in here", 'write the number: "http://HOST:PORT/'
                     'PATH"; with `ports: [a, b]` that of the first one, the slot\'s takes its place')  # fmt: skip
    parts = _split(value)
    if not _URL.fullmatch(value) or parts is None or not parts[0]:
        raise refuse("GP125", f"{value!r} is not an http URL", 'write it as "http://HOST:PORT/PATH"')
    return value


def _with_port(value: str) -> str:
    parts = _split(value)
    if not parts or not parts[1]:
        raise refuse("GP125", f"{value!r} names no port", 'write it as "http://HOST:PORT/PATH"')
    return value


def _split(value: str) -> tuple[str | None, int | None] | None:
    with suppress(ValueError):  # a bad port or a bad IPv6 address
        parts = urlsplit(value)
        return parts.hostname, parts.port
    return None


def _endpoint(value: str) -> str:
    if "/" in value:
        host = value.rpartition("//")[2].partition("/")[0]
        raise refuse("GP125", f"{value!r} is not an endpoint", f'write "{host}"; `secure` says whether TLS is used')
    return value


def _pattern(value: str) -> str:
    if value == AUTO or pattern(value) is not None:
        return value
    path = value.partition(" ")[2] or value
    hint = 'write a path, with a method where it matters: "/checkout", "POST /orders/*", "/api/**"'
    if "%" in path or "?" in path:
        hint = "write the path as it is once decoded, without a query; * is any one segment"
    elif len(path) > 1 and path.endswith("/"):
        hint = f"write it without the slash at the end: {value.rstrip('/')!r} fits both"
    raise refuse("GP149", f"{value!r} is no endpoint", hint)


def _target(value: str) -> str:
    if value not in GO_TARGETS:
        go_words = value.lower().replace("-", "/", 1).replace("x86_64", "amd64").replace("aarch64", "arm64")
        hint = did_you_mean(go_words, GO_TARGETS, otherwise="`go tool dist list` names them all")
        raise refuse("GP126", f"{value!r} is not a target", hint)
    return value


def _network(value: str) -> str:
    """As edges read it: ``2001:DB8::/32`` and ``::ffff:10.0.0.0/104`` have a plainer way to be written."""
    try:
        network = ipaddress.ip_network("" if "%" in value else value, strict=False)
    except ValueError:
        raise refuse("GP130", f"{value!r} is not a network", 'write it as "10.0.0.0/8"') from None
    if "/" in value and network.network_address != ipaddress.ip_address(value.partition("/")[0]):
        raise refuse("GP130", f"{value!r} has host bits set", f'write "{network}"')
    plain = _unmapped(network)
    return str(plain) if "/" in value else str(plain.network_address)


def _trusted(value: str) -> str:
    return value if value == INVENTORY else _network(value)


def _unmapped(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """The network of IPv4 that one of IPv6 stands for: what an edge that listens for IPv4 alone sees of its peers."""
    mapped = network.network_address.ipv4_mapped if isinstance(network, ipaddress.IPv6Network) else None
    return ipaddress.IPv4Network((mapped, network.prefixlen - 96)) if mapped and network.prefixlen >= 96 else network


def _selector(value: str) -> str:
    parse_selector(value)
    return value


def _window(value: str) -> str:
    parse_window(value)
    return value


def _repository_pattern(value: str) -> str:
    if re.search(r"\s", value) or len(value) > _LONGEST_PATTERN:
        raise refuse("GP325", f"{value!r} is no address of a repository", _SOURCE_HINT)
    if re.search(r"://[^/]*:[^/]*@", value):
        raise refuse("GP325", "the repository is written with a password", _SOURCE_HINT)
    return value


def _ref_pattern(value: str) -> str:
    if not _REF_PATTERN.fullmatch(value):
        raise refuse("GP326", f"{value!r} is no branch or tag, nor a pattern of them", 'write "refs/tags/v*" or "main"')
    return value


Inside = Annotated[Word, AfterValidator(_inside)]
"""A file below gopub.yaml; it goes into the release from the commit, so it can be nowhere else."""

Package = Annotated[Word, AfterValidator(_package)]
"""A Go package of the project by its folder: ``.`` or ``./cmd/orders``."""

HttpUrl = Annotated[Word, AfterValidator(http_url)]
"""An http or https URL without credentials: a secret in it would reach logs."""

HealthUrl = Annotated[HttpUrl, AfterValidator(_with_port)]
"""A URL with host and port, for the port is what the process must listen on."""

Endpoint = Annotated[Word, AfterValidator(_endpoint)]
"""A host, with a port where it is not the usual one."""

Target = Annotated[Word, AfterValidator(_target)]
"""GOOS/GOARCH."""

Network = Annotated[Word, AfterValidator(_network)]
"""An address or a network in CIDR form."""

INVENTORY = "inventory"
"""In ``traffic.trust``: every host of the environment's inventory, and the edges."""

Trusted = Annotated[Word, AfterValidator(_trusted)]
"""An address, a network, or the word for the house's own hosts."""

EndpointPattern = Annotated[Word, AfterValidator(_pattern)]
"""A path, with a method or without, see endpoints.py; or ``auto``."""


def _several(value: Any) -> Any:
    return [value] if value == AUTO else value


def _or_auto(schema: dict[str, Any]) -> None:
    listed = {key: schema.pop(key) for key in ("type", "items")}
    schema["anyOf"] = [listed, {"const": AUTO}]


EndpointPatterns = Annotated[tuple[EndpointPattern, ...], BeforeValidator(_several), Field(json_schema_extra=_or_auto)]
"""Patterns; ``auto`` alone is a list of it."""

SelectorText = Annotated[Word, AfterValidator(telling(_selector))]
"""Label terms, see selector.py."""

WindowText = Annotated[Word, AfterValidator(telling(_window))]
"""Days, times and a zone, see windows.py."""

GoVersion = Annotated[
    Word,
    AfterValidator(
        matching(r"1\.\d{1,3}(\.\d{1,3}|rc\d{1,2})?", "GP135", "a Go version", 'write it as "1.26" or "1.26.8"')
    ),
]
"""A Go language or toolchain version."""

VariableName = Annotated[
    Word,
    AfterValidator(
        matching(r"[A-Za-z_][A-Za-z0-9_]*", "GP124", "the name of an environment variable", "use letters, digits and _")
    ),
]
"""The name of an environment variable."""

LabelName = Annotated[
    Word,
    AfterValidator(matching(r"[A-Za-z_][A-Za-z0-9_]*", "GP120", "the name of a label", "use letters, digits and _")),
]
"""The name of a label in Prometheus."""

HeaderName = Annotated[Word, AfterValidator(matching(_TOKEN, "GP129", "a header name", 'write it as "x-canary"'))]
"""An HTTP header's name."""

Sticky = Annotated[
    Word,
    AfterValidator(
        matching(
            rf"address|(header|cookie):{_TOKEN}",
            "GP129",
            "a sticky key",
            "write address, header:NAME or cookie:NAME",
        )
    ),
]
"""What keeps a user on a track."""

TagName = Annotated[
    Word,
    AfterValidator(
        matching(
            r"(?!(?i:and|or|not)$)[A-Za-z0-9][A-Za-z0-9._-]{0,62}",
            "GP151",
            "a tag",
            "use letters, digits, ., _ and -, with a letter or digit first, at most 63, and none of and, or, not",
        )
    ),
]
"""One tag, which an expression of tags can ask for."""

UserName = Annotated[
    Word,
    AfterValidator(
        matching(r"[a-z_][a-z0-9_-]{0,31}", "GP120", "a user name", "use a-z, 0-9, _ and -, with a letter first")
    ),
]
"""A system user."""

RepositoryPattern = Annotated[Word, AfterValidator(_repository_pattern)]
"""A repository as git clones it; * stands for any text without a slash, ** for any text."""

RefPattern = Annotated[Word, AfterValidator(_ref_pattern)]
"""A branch or tag by its full name (refs/tags/v*) or its short one (main); * and ** as above."""
