"""What ~/.ssh/config means: the same as ssh(1) makes of it, which is asked beside where it is there."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gopub.errors import UsageError, Where
from gopub.fleet.backends.config import settings_of
from gopub.fleet.keyfiles import openssh_parts, seems_locked
from gopub.fleet.offers import KeyFile, Offer, State, advice, offers, troubles
from gopub.fleet.shells import command_line, unpacked
from gopub.fleet.sshconfig import Around, Asked, Settings, Unanswered, resolve
from gopub.fleet.sshwords import lines, matches, words

AROUND = Around("me", "/home/me", "here.corp", 1000, {"KEYS": "/keys"})
NOWHERE = Where("c")
SHELLS = [path for name in ("sh", "bash", "csh", "tcsh", "fish", "zsh", "ksh") if (path := shutil.which(name))]


def settings(text: str, host: str = "web1", answers: dict[str, bool] | None = None, **asked: object) -> Settings:
    found = resolve(tuple(lines(text, "c")), Asked(host, **asked), AROUND, answers or {})  # type: ignore[arg-type]
    assert isinstance(found, Settings)
    return found


SKIPPED = """\
IgnoreUnknown UseKeychain
UseKeychain yes
  # a comment
Host "two words" web* !web9 # trailing
  HostName=%h.corp # why
  Port = 2200
  User "dep loy"
  IdentityFile ~/.ssh/none
  IdentityFile "~/with space"
  SetEnv A=b C="d e"
  Ciphers +aes128-cbc
Match originalhost web1,web2 user "dep loy"
  IdentityFile ~/m
Match !host *.corp
  User wrong
Match exec "test %n = web1"
  HostKeyAlias alias
Match final host web1.corp
  IdentityFile ~/final
Match canonical
  IdentityFile ~/canonical
Host web1.corp
  IdentityFile ~/second
Include /no/such/file none/*
Host *
  ProxyCommand nc %h '%p' | tee "a b" # part of it
  ProxyJump later
  IdentityFile ~/.ssh/none
  IdentitiesOnly yes
  Port 99
"""


@pytest.mark.parametrize("host", ["web1", "web9", "other"])
def test_the_same_as_ssh_makes_of_it(tmp_path: Path, host: str) -> None:
    same(tmp_path, SKIPPED, host)


PATTERNS = ["web1", "web*", "!web1", "w?b1", "*", "db", "!db*", "web1.corp", '"*.corp"', "web1,db"]
VALUES = {
    "Host": [*PATTERNS, "db web1", "* !web1"],
    "Match": [
        "all",
        "final",
        "canonical all",
        *(f"{kind} {one}" for kind in ("host", "!originalhost") for one in PATTERNS),
    ],
    "Port": ["22", '"2200"'],
    "User": ["ops", '"a b"'],
    "HostName": ["%h.corp", "web1.corp"],
    "IdentityFile": ["~/a", "/k/b", '"a\'b"'],
    "HostKeyAlias": ["al", "none"],
    "IdentitiesOnly": ["yes", "no"],
    "ProxyJump": ["none", "u@j2:22"],
    "ProxyCommand": ["none", "nc a 'b c' # d"],
}
WHOLE = ("ProxyJump", "ProxyCommand")
LINES = st.sampled_from(sorted(VALUES)).flatmap(
    lambda option: st.builds(
        lambda before, between, value, after: f"{before}{option}{between}{value}{'' if option in WHOLE else after}",
        st.sampled_from(["", "  ", "\t"]),
        st.sampled_from([" ", "\t"] if option in {"Host", "Match"} else [" ", "=", " = ", "= "]),
        st.sampled_from(VALUES[option]),
        st.sampled_from(["", " ", " # why"]),
    )
)


@given(st.lists(LINES, min_size=1, max_size=12), st.sampled_from(["web1", "db"]))
@hypothesis.settings(max_examples=60, deadline=None)
def test_the_same_as_ssh_makes_of_drawn_lines(drawn: list[str], host: str) -> None:
    with TemporaryDirectory() as folder:
        same(Path(folder), "\n".join(drawn), host)


def same(home: Path, text: str, host: str) -> None:
    """ssh, asked beside, makes the same of it."""
    (home / ".ssh").mkdir()
    path = home / ".ssh/config"
    path.write_text(text)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("HOME", str(home))
        ours = asyncio.run(settings_of(Asked(host)))
    ssh = shutil.which("ssh")
    assert ssh, "scripts/apt.sh installs it"
    said = subprocess.run((ssh, "-G", "-F", str(path), host), check=True, capture_output=True, text=True)
    theirs: dict[str, list[str]] = {}
    for line in said.stdout.splitlines():
        name, _, value = line.partition(" ")
        theirs.setdefault(name, []).append(value)
    assert ours.hostname == theirs["hostname"][0]
    assert [str(ours.port), ours.user] == theirs["port"] + theirs["user"]
    assert ours.identities is None or list(ours.identities) == theirs["identityfile"]
    assert (ours.identities is None) == ("~/.ssh/id_rsa" in theirs["identityfile"])
    for option in ("hostkeyalias", "proxyjump", "proxycommand"):
        said_of_it = theirs.get(option, ["none"])[0]
        assert (ours.get(option) or "none") == said_of_it.replace("%h", ours.hostname).replace("%p", str(ours.port))
    assert ours.identities_only == (theirs["identitiesonly"] == ["yes"])


def test_every_option_of_that_text_counts_somewhere() -> None:
    """Control: the hosts above do differ."""
    one, nine = (
        settings(SKIPPED, answers={"test web1 = web1": True}),
        settings(SKIPPED, "web9", {"test web9 = web1": False}),
    )
    assert (one.port, nine.port, one.user, nine.user) == (2200, 99, "dep loy", "wrong")
    assert one.identities == ("~/.ssh/none", "~/with space", "~/m", "~/final", "~/canonical", "~/second")
    assert (one.get("hostkeyalias"), nine.get("hostkeyalias")) == ("alias", None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Host *\n Port abc", "c:2: GP352 the SSH configuration cannot be read: port 'abc' is none"),
        ("Host *\n Port 0", "c:2: GP352 the SSH configuration cannot be read: port '0' is none"),
        ("User a b", "c:1: GP352 the SSH configuration cannot be read: user has more than one value"),
        ("\nUser", "c:2: GP352 the SSH configuration cannot be read: user has no value"),
        ("Host", "c:1: GP352 the SSH configuration cannot be read: host says nothing"),
        ('Host "a', "c:1: GP352 the SSH configuration cannot be read: a quote is not closed"),
        ('Host "' + "\\" * 41, "c:1: GP352 the SSH configuration cannot be read: a quote is not closed"),
        ("= x", "c:1: GP352 the SSH configuration cannot be read: '= x' does not begin with an option"),
        ("Match nonsense x", "c:1: GP352 the SSH configuration cannot be read: Match 'nonsense' is no condition"),
        ("Match host", "c:1: GP352 the SSH configuration cannot be read: Match host says nothing"),
        ("IdentityFile %z", "c:1: GP352 the SSH configuration cannot be read: '%z' in '%z' stands for nothing here"),
        ("IdentityFile ${NO}", "c:1: GP352 the SSH configuration cannot be read: the variable 'NO' is not set"),
        ("ConnectTimeout 1.5", "c:1: GP352 the SSH configuration cannot be read: connecttimeout '1.5' is no time"),
        ("AddressFamily six", "c:1: GP352 the SSH configuration cannot be read: addressfamily 'six' is none of"),
    ],
)
def test_a_bad_line_is_named(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        settings(text)
    assert str(caught.value).startswith(said)


def test_tokens_and_variables_are_filled_in() -> None:
    text = (
        "HostName %h.corp\nPort 2200\nUser ops\nHostKeyAlias box\nIdentityFile %d/%n/%h-%p-%r-%u-%L-%l-%k-%i%%\n"
        "UserKnownHostsFile none ${KEYS}/%k %C\nIdentityAgent $SOCK\n"
    )
    found = settings(text)
    assert found.identities == ("/home/me/web1/web1.corp-2200-ops-me-here-here.corp-box-1000%",)
    assert found.user_pins is not None and found.user_pins[0] == "/keys/box" and len(found.user_pins[1]) == 40
    assert found.one["identityagent"] == "none" and found.pinned_as == "box"
    assert settings("", user="a", port=5) == Settings("web1", "a", 5)


def test_a_command_is_asked_only_where_what_stands_before_it_holds() -> None:
    text = "Match host web2 exec b\n User x\nMatch exec 'a %p'\n User y\n"
    assert resolve(tuple(lines(text, "c")), Asked("web1"), AROUND, {}) == Unanswered("a 22")
    assert settings(text, answers={"a 22": True}).user == "y"
    assert settings(text, answers={"a 22": False}).user == "me"


def test_an_included_file_holds_where_it_is_included(tmp_path: Path) -> None:
    inner = tuple(lines("User inner\nHost web2\nPort 7\n", "i"))
    (include,) = lines("Include i", "c")
    read = (*lines("Host web*", "c"), include.including([inner]), *lines("IdentityFile k", "c"))
    found = [resolve(read, Asked(host), AROUND, {}) for host in ("web1", "web2", "db1")]
    assert [(one.user, one.port, one.identities) for one in found if isinstance(one, Settings)] == [
        ("inner", 22, ("k",)),
        ("inner", 7, ("k",)),
        ("me", 22, None),
    ]


async def test_files_that_include_one_another_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".ssh/d").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh/config").write_text("Include d/* none\nUser late\n")
    (tmp_path / ".ssh/d/a").write_text("User early\n")
    assert (await settings_of(Asked("x"))).user == "early"
    (tmp_path / ".ssh/d/a").write_text("\nInclude config\n")
    with pytest.raises(UsageError, match=r"^~?/.*:\d: GP352 .*include one another more than 16 deep"):
        await settings_of(Asked("x"))


def test_words_and_patterns() -> None:
    assert list(words(r"""a "b c"d '"' \"x\ y "\"" #z""", NOWHERE)) == ["a", "b cd", '"', '"x y', '"']
    assert matches("web1", ["web?"]) and matches("web1", ["*", "!db*"]) and not matches("web1", ["*", "!*1"])
    assert not matches("web1", ["!db1"]) and matches("a.b", ["a.*"]) and not matches("axb", ["a.b"])


class TestOffers:
    FILES = (
        KeyFile("named", State.READY, b"N"),
        KeyFile("locked", State.LOCKED, b"L"),
        KeyFile("shut", State.LOCKED, b"S"),
        KeyFile("gone", State.MISSING),
        KeyFile("usual", State.READY, b"U", named=False),
        KeyFile("unusual", State.MISSING, named=False),
    )

    def test_what_was_named_comes_first_and_the_rest_of_the_agent_last(self) -> None:
        named, locked, other, usual = Offer(path="named"), Offer(public=b"L"), Offer(public=b"X"), Offer(path="usual")
        assert offers(self.FILES, (b"X", b"L"), only_named=False) == (named, locked, other, usual)
        assert offers(self.FILES, (b"X", b"L"), only_named=True) == (named, locked, usual)
        assert offers(self.FILES, (b"N",), only_named=True)[0] == Offer(public=b"N")

    def test_what_is_not_offered_is_told(self) -> None:
        assert troubles(self.FILES, (b"L",)) == (
            "shut has a passphrase, and no agent holds it",
            "gone is not there",
        )
        assert advice(self.FILES, (b"L",), shown=1).startswith("give it to an agent (`ssh-add shut`)")
        assert advice((), (), shown=0).startswith("name a key in the inventory")


class TestShells:
    WORDS = ("printf", "%s|", "a b", "$HOME", "'", '"', "\\", "\\n", "*", ";", "", "é", "a\nb", "!x", "#", "`id`", "~")

    def test_a_line_has_nothing_that_a_shell_may_take_for_something_else(self) -> None:
        line = command_line(self.WORDS)
        assert not set("\n\r!\\") & set(line)
        assert max(map(len, line.split())) < 1000
        assert tuple(unpacked(line)) == self.WORDS
        assert command_line(("echo", "plain words")) == "echo 'plain words'"
        assert tuple(unpacked("echo 'plain words'")) == ("echo", "plain words")

    @pytest.mark.parametrize("shell", SHELLS)
    def test_every_shell_takes_it_for_the_same(self, shell: str) -> None:
        done = subprocess.run((shell, "-c", command_line(self.WORDS)), capture_output=True, check=True)
        assert done.stdout.decode() == "".join(f"{word}|" for word in self.WORDS[2:])


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", (None, None)),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\n====\n-----END", (None, None)),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n-----END", (b"", None)),
    ],
)
def test_a_damaged_key_file_tells_nothing(data: bytes, found: tuple[bytes | None, bytes | None]) -> None:
    assert openssh_parts(data) == found
    assert not seems_locked(data)
