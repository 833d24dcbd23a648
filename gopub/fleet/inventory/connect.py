"""The ``ansible_…`` variables that say how a host is reached. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from gopub.errors import GopubError, SpecError
from gopub.fleet.host import Host, SshOptions
from gopub.fleet.inventory.groups import Resolved
from gopub.fleet.inventory.values import label
from gopub.fleet.jump import DIRECT, bracketed, leads, parse_hop, unbracketed
from gopub.fleet.templates import render
from gopub.fleet.vaulted import ENCRYPTED, Vaulted

_PASSWORDS = ("ansible_password", "ansible_ssh_pass", "ansible_become_password", "ansible_become_pass")
_CONNECTIONS = ("ssh", "smart", "paramiko", "ansible.builtin.ssh")
# Options of OpenSSH that change nothing for us: we multiplex, keep alive and check host keys in our own way.
_HARMLESS = re.compile(
    r"(strict_?hostkeychecking|control(master|path|persist)|serveralive\w+|connecttimeout|connectionattempts|"
    r"loglevel|forwardagent|identitiesonly|preferredauthentications|compression|batchmode|tcpkeepalive)",
    re.IGNORECASE,
)
_FORWARD = (["%h:%p"], ['"%h:%p"'], ["[%h]:%p"])
_HINT = "what gopub needs of a host is no secret: keep it in a plain file"
_RANGE = re.compile(r"\[\w+:\w+(:\d+)?\]")


def make_host(resolved: Resolved, folder: Path) -> tuple[Host, SpecError | None]:
    """The host that gopub works with; relative paths in its variables start at the inventory's folder.

    With it, why gopub cannot work with it: the GP404 of a variable that cannot be what it has to be. It is given, not
    raised, for an inventory also has hosts that are not gopub's.
    """
    host = Host(
        name=resolved.name,
        address=resolved.name,
        labels={name: text for name, value in resolved.variables.items() if (text := label(value)) is not None},
        groups=resolved.groups,
        variables=resolved.variables,
    )
    try:
        return _reached(host, _Told(resolved, folder)), None
    except SpecError as error:
        return host, error


def _reached(host: Host, told: _Told) -> Host:
    told.refuse_unsupported()
    address, port = told.word("ansible_host", "ansible_ssh_host") or host.name, told.port()
    if _RANGE.search(address):
        raise told.wrong("ansible_host", address, "ranges are expanded in host names only, not in values")
    user = told.word("gopub_user", "ansible_user", "ansible_ssh_user")
    return replace(host, address=unbracketed(address), port=port, user=user, ssh=told.ssh(user, port))


def bastion_of(command: str) -> str | None:
    """The bastion of the usual ``ssh -W %h:%p [user@]bastion``, as ``[user@]host[:port]``; None for other commands.

    gopub then makes that hop itself: one connection to the bastion for all hosts behind it, its key pinned, too.
    """
    words = command.split()
    if words[:1] != ["ssh"] or "-W" not in words or words[words.index("-W") + 1 :][:1] not in _FORWARD:
        return None
    del words[words.index("-W") : words.index("-W") + 2]
    port, left = "", iter(words[1:])
    places: list[str] = []
    for word in left:
        if word == "-p":
            port = next(left, "")
        elif word == "-o":
            if not _HARMLESS.fullmatch(next(left, "").partition("=")[0]):
                return None
        elif word.startswith("-") and word != "-q":
            return None
        elif not word.startswith("-"):
            places.append(word)
    if len(places) != 1 or not port:
        return places[0] if len(places) == 1 else None
    user, at, address = places[0].rpartition("@")
    return f"{user}{at}{bracketed(address)}:{port}"


class _Told:
    """What the variables of one host say."""

    def __init__(self, resolved: Resolved, folder: Path) -> None:
        self._name = resolved.name
        self._variables = resolved.variables
        self._where = resolved.where
        self._folder = folder
        self._known = {**resolved.variables, "inventory_hostname": resolved.name}

    def wrong(self, name: str, value: object, why: str) -> SpecError:
        return SpecError("GP404", f"host {self._name}: {name}={value}: {why}", where=self._where)

    def word(self, *names: str) -> str | None:
        """The first of the variables that is set, as one word; templates in it are filled in."""
        name = next((name for name in names if self._variables.get(name) not in (None, "")), None)
        if name is None:
            return None
        value = self._variables[name]
        self._readable(name)
        if isinstance(value, bool | list | Mapping):
            raise self.wrong(name, value, "a word is needed")
        text = self._filled(name, str(value))
        if not text.isprintable() or text.startswith("-"):
            raise self.wrong(name, repr(text), "a word is needed")
        return text

    def port(self) -> int | None:
        text = self.word("ansible_port", "ansible_ssh_port")
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
            raise self.wrong("ansible_port", text, "a port from 1 to 65535 is needed")
        return int(text)

    def ssh(self, user: str | None, port: int | None) -> SshOptions:
        options = self._options()
        key = self.word("gopub_key", "ansible_ssh_private_key_file", "ansible_private_key_file")
        pinned = self.word("gopub_known_hosts") or options.get("userknownhostsfile")
        return SshOptions(
            user=user,
            port=port,
            key=self._path("ansible_ssh_private_key_file", key),
            known_hosts=self._path("gopub_known_hosts", pinned),
            sudo=self._flag("ansible_become") and not self.word("gopub_user"),
            jump=self._jump(options),
            proxy_command=options.get("proxycommand"),
        )

    def _jump(self, options: Mapping[str, str]) -> str | None:
        jump = options.get("proxyjump") or bastion_of(options.get("proxycommand", ""))
        try:
            for hop in jump.split(",") if jump and leads(jump) else ():
                parse_hop(hop)
        except ValueError as error:
            raise self.wrong("ProxyJump", jump, f"{error}; write [user@]host[:port], or {DIRECT}") from error
        return jump

    def refuse_unsupported(self) -> None:
        for name in _PASSWORDS:
            if self._variables.get(name):
                raise self.wrong(name, "…", "passwords are not used; give the host a key")
        self._must_be("ansible_connection", *_CONNECTIONS)
        self._must_be("ansible_become_method", "sudo", "ansible.builtin.sudo")
        self._must_be("ansible_become_user", "root")

    def _must_be(self, name: str, *allowed: str) -> None:
        value = self.word(name)
        if value is not None and value not in allowed:
            raise self.wrong(name, value, f"only {allowed[0]} is supported")

    def _flag(self, name: str) -> bool:
        value = self._variables.get(name)
        self._readable(name)
        if value is None or isinstance(value, bool):
            return bool(value)
        text = str(value).lower()
        if text in {"true", "yes", "on", "1", "y", "t"}:
            return True
        if text in {"false", "no", "off", "0", "n", "f"}:
            return False
        raise self.wrong(name, value, "true or false is needed")

    def _path(self, name: str, text: str | None) -> Path | None:
        try:
            return None if text is None else self._folder / Path(text).expanduser()
        except RuntimeError as error:  # ~user, and there is no such user
            raise self.wrong(name, text, "there is no such user on this machine") from error

    def _readable(self, name: str) -> None:
        value = self._variables.get(name)
        if isinstance(value, Vaulted):
            raise SpecError("GP404", f"host {self._name}: {name} {ENCRYPTED}", hint=_HINT, where=value.where)

    def _options(self) -> dict[str, str]:
        """The options of ssh that matter here, by lower-case name; as with ssh, the first word on a thing counts."""
        found: dict[str, str] = {}
        for name in ("ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args"):
            for key, value in self._parse_options(name, self._arguments(name)):
                way = {"proxyjump", "proxycommand"}
                if key not in found and not (key in way and way & found.keys()):
                    found[key] = value
        if found.get("proxycommand", "").lower() == DIRECT:
            found["proxyjump"] = found.pop("proxycommand")
        return found

    def _arguments(self, name: str) -> str:
        self._readable(name)
        text = self._variables.get(name)
        if not isinstance(text, str | None):
            raise self.wrong(name, text, "arguments of ssh are needed")
        return self._filled(name, text or "")

    def _parse_options(self, name: str, text: str) -> Iterator[tuple[str, str]]:
        try:
            words = iter(shlex.split(text))
        except ValueError as error:
            raise self.wrong(name, text, str(error)) from error
        for word in words:
            if word.startswith("-J"):
                yield "proxyjump", word[2:] or next(words, "")
            elif word.startswith("-o"):
                key, value = _option(next(words, "") if word == "-o" else word[2:])
                if key.lower() in {"proxyjump", "proxycommand", "userknownhostsfile"}:
                    yield key.lower(), value
                elif not _HARMLESS.fullmatch(key):
                    raise self.wrong(name, text, f"the ssh option {key} is not acted on; put it into ~/.ssh/config")
            elif word not in {"-q", "-C", "-A", "-a", "-4", "-T"}:
                raise self.wrong(name, text, f"the ssh argument {word} is not acted on; put it into ~/.ssh/config")

    def _filled(self, name: str, text: str) -> str:
        if "{{" not in text and "{%" not in text:
            return text
        try:
            return render({"value": text}, self._known).files["value"].decode()
        except GopubError as error:
            raise self.wrong(name, text, error.problem) from error


def _option(text: str) -> tuple[str, str]:
    """Name and value of ``name=value`` or ``name value``."""
    name, value, *_ = *re.split(r"\s*=\s*|\s+", text.strip(), maxsplit=1), ""
    return name, value
