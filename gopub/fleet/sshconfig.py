"""What an OpenSSH client configuration says of one host, as ssh(1) understands it. Pure.

The first value of an option counts, but for the files with keys, which add up. What gopub does not act on is passed
over, whatever it says: a newer ssh may know it. The differences to ssh are listed in docs/reference/ssh.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha1

from gopub.errors import Where
from gopub.fleet.sshwords import Line, filled, matches, seconds, with_environment, wrong

_MANY = frozenset({"identityfile", "certificatefile"})
_LISTS = frozenset({"userknownhostsfile", "globalknownhostsfile"})
_ONE = frozenset(
    {
        "addressfamily",
        "bindaddress",
        "casignaturealgorithms",
        "connecttimeout",
        "hostkeyalgorithms",
        "hostkeyalias",
        "hostname",
        "identitiesonly",
        "identityagent",
        "kexalgorithms",
        "macs",
        "port",
        "proxycommand",
        "proxyjump",
        "pubkeyauthentication",
        "stricthostkeychecking",
        "tag",
        "user",
    }
)
_TRUTHS = {"yes": True, "true": True, "no": False, "false": False}
_FAMILIES = frozenset({"any", "inet", "inet6"})
_WAYS = frozenset({"proxycommand", "proxyjump"})
_NEVER = frozenset({"localnetwork", "version", "sessiontype", "command"})
"""Conditions that gopub cannot look at: their blocks do not hold, as for an ssh for which they are not met."""


@dataclass(frozen=True, slots=True)
class Around:
    """Where gopub runs, as far as a configuration may ask."""

    user: str
    home: str
    machine: str
    uid: int
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """The host as it was named, and what is known of it before the configuration is read."""

    host: str
    user: str | None = None
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A ``Match exec`` has to be run before anything can be said."""

    command: str


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for one host; None and empty where nothing is said."""

    hostname: str
    user: str
    port: int
    one: Mapping[str, str] = field(default_factory=dict)
    identities: tuple[str, ...] | None = None
    certificates: tuple[str, ...] = ()
    user_pins: tuple[str, ...] | None = None
    global_pins: tuple[str, ...] | None = None
    identities_only: bool = False
    where: Mapping[str, Where] = field(default_factory=dict)

    def get(self, option: str) -> str | None:
        """The value of an option with one value; None also for ``none``."""
        value = self.one.get(option)
        return None if value is None or value.lower() == "none" else value

    @property
    def connect_timeout(self) -> float:
        """For how many seconds a login may take; 0 where nothing is said."""
        return seconds(self.get("connecttimeout") or "") or 0.0

    @property
    def pinned_as(self) -> str:
        """The name under which the host's key is looked for."""
        return (self.get("hostkeyalias") or self.hostname).lower()


def resolve(read: tuple[Line, ...], asked: Asked, around: Around, answers: Mapping[str, bool]) -> Settings | Unanswered:
    """What the lines say of that host; ``answers`` are those of commands of ``Match exec``.

    Raises:
        UsageError: GP352 a line that nobody can act on.
    """
    try:
        reading = _Reading(asked, around, answers)
        reading.take(read)
        if reading.has_final:  # ssh, too, reads it all again, with what it knows by now
            reading.settle_name()
            reading.take(read)
    except _UnansweredError as wanted:
        return Unanswered(wanted.command)
    return reading.settled()


class _UnansweredError(Exception):
    def __init__(self, command: str) -> None:
        super().__init__(command)
        self.command = command


class _Reading:
    """One pass over the lines, and what was found so far."""

    def __init__(self, asked: Asked, around: Around, answers: Mapping[str, bool]) -> None:
        self._asked, self._around, self._answers = asked, around, answers
        self._one: dict[str, str] = {}
        self._many: dict[str, list[str]] = {}
        self._where: dict[str, Where] = {}
        self._named = asked.host
        self.has_final = self.final = False

    def take(self, read: tuple[Line, ...], *, holds: bool = True) -> None:
        """Every line in order; in a file that is included where nothing holds, nothing does."""
        active = holds
        for line in read:
            if line.option in {"host", "match", "include"} and not line.words:
                raise wrong(line.where, f"{line.option} says nothing")
            if line.option == "host":
                active = holds and matches(self._named, line.words)
            elif line.option == "match":
                active = self._matches(line) and holds
            elif line.option == "include":
                for file in line.files:
                    self.take(file, holds=active)
            elif active:
                self._keep(line)

    def settle_name(self) -> None:
        """Before the second pass, for which the name is what it is by now, also for ``Host``."""
        self.final = True
        self._named = self._hostname()
        if "hostname" not in self._where:
            self._one["hostname"], self._where["hostname"] = "%h", Where("")

    def _keep(self, line: Line) -> None:
        option = line.option
        if option not in _ONE | _MANY | _LISTS:
            return
        if not line.words:
            raise wrong(line.where, f"{option} has no value")
        if option not in _LISTS and len(line.words) > 1:
            raise wrong(line.where, f"{option} has more than one value")
        if option in _MANY:
            self._add(option, line)
        elif not (option in self._where or (option in _WAYS and _WAYS & self._where.keys())):
            self._where[option] = line.where
            self._many[option] = list(line.words)
            self._one[option] = self._checked(option, line)

    def _add(self, option: str, line: Line) -> None:
        self._where.setdefault(option, line.where)
        have = self._many.setdefault(option, [])
        if line.words[0] not in have:
            have.append(line.words[0])

    @staticmethod
    def _checked(option: str, line: Line) -> str:
        value = line.words[0]
        if option == "port" and not (value.isascii() and value.isdigit() and 0 < int(value[:6]) < 65536):
            raise wrong(line.where, f"port {value!r} is none")
        if option == "identitiesonly" and value.lower() not in _TRUTHS:
            raise wrong(line.where, f"{option} {value!r} is neither yes nor no")
        if option == "connecttimeout" and value.lower() != "none" and seconds(value) is None:
            raise wrong(line.where, f"{option} {value!r} is no time")
        if option == "addressfamily" and value.lower() not in _FAMILIES:
            raise wrong(line.where, f"{option} {value!r} is none of any, inet, inet6")
        return value

    def _matches(self, line: Line) -> bool:
        """Whether every condition holds; a command is asked for only where those before it do."""
        left = iter(_conditions(line))
        holds = True
        for word in left:
            negated, name = word.startswith("!"), word.removeprefix("!").lower()
            if name == "all":
                holds = holds and not negated
                continue
            if name in {"canonical", "final"}:
                self.has_final |= name == "final"
                holds = holds and negated != self.final
                continue
            value = next(left, None)
            if value is None:
                raise wrong(line.where, f"Match {name} says nothing")
            holds = holds and negated != self._meets(name, value, line.where)
        return holds

    def _meets(self, name: str, value: str, where: Where) -> bool:
        if name == "exec":
            command = filled(value, self._tokens(), where)
            if command not in self._answers:
                raise _UnansweredError(command)
            return self._answers[command]
        known = {
            "host": self._hostname(),
            "originalhost": self._asked.host,
            "user": self._user(),
            "localuser": self._around.user,
            "tagged": self._one.get("tag", ""),
        }
        if name in known:
            return matches(known[name], value.split(","))
        if name in _NEVER:
            return False
        raise wrong(where, f"Match {name!r} is no condition")

    def _hostname(self) -> str:
        name = self._one.get("hostname")
        return filled(name, {"h": self._asked.host}, self._where["hostname"]) if name else self._asked.host

    def _user(self) -> str:
        return self._asked.user or self._one.get("user") or self._around.user

    def _port(self) -> int:
        return self._asked.port or int(self._one.get("port", "22"))

    def _tokens(self) -> dict[str, str]:
        around, host, port, user = self._around, self._hostname(), str(self._port()), self._user()
        jump = self._one.get("proxyjump", "")
        whole = f"{around.machine}{host}{port}{user}"
        return {
            "C": sha1(whole.encode(errors="replace"), usedforsecurity=False).hexdigest(),
            "d": around.home,
            "h": host,
            "i": str(around.uid),
            "j": jump,
            "k": self._one.get("hostkeyalias", self._asked.host),
            "L": around.machine.partition(".")[0],
            "l": around.machine,
            "n": self._asked.host,
            "p": port,
            "r": user,
            "u": around.user,
        }

    def _paths(self, option: str) -> tuple[str, ...]:
        where = self._where.get(option, Where(""))
        tokens = self._tokens()
        found = (self._many.get(option) or ()) if option in self._where else ()
        return tuple(
            with_environment(filled(text, tokens, where), self._around.environment, where)
            for text in found
            if text.lower() != "none"
        )

    def _ready(self) -> Iterator[tuple[str, str]]:
        """Options with one value, with what stands for something filled in."""
        for option, value in self._one.items():
            where = self._where[option]
            if option in _WAYS:
                tokens = {name: text for name, text in self._tokens().items() if name in "hnpr"}
                yield option, filled(value, tokens, where)
            elif option == "identityagent":
                text = with_environment(filled(value, self._tokens(), where), self._around.environment, where)
                yield option, _variable(text, self._around.environment)
            else:
                yield option, value

    def settled(self) -> Settings:
        return Settings(
            hostname=self._hostname(),
            user=self._user(),
            port=self._port(),
            one=dict(self._ready()),
            identities=self._paths("identityfile") if "identityfile" in self._where else None,
            certificates=self._paths("certificatefile"),
            user_pins=self._paths("userknownhostsfile") if "userknownhostsfile" in self._where else None,
            global_pins=tuple(self._many["globalknownhostsfile"]) if "globalknownhostsfile" in self._where else None,
            identities_only=_TRUTHS[self._one.get("identitiesonly", "no").lower()],
            where=dict(self._where),
        )


def _variable(text: str, environment: Mapping[str, str]) -> str:
    """``SSH_AUTH_SOCK`` and ``$NAME`` are the agent that a variable names; one that is not set names none."""
    if text == "SSH_AUTH_SOCK" or text.startswith("$"):
        return environment.get(text.removeprefix("$"), "none")
    return text


def _conditions(line: Line) -> Iterator[str]:
    """The words of a Match line, ``host=web*`` as two."""
    value = False
    for word in line.words:
        name, equals, rest = word.partition("=")
        if not value and equals:
            yield name
            if rest:
                yield rest
            else:
                value = True
            continue
        alone = word.removeprefix("!").lower() in {"all", "canonical", "final"}
        yield word
        value = not value and not alone
