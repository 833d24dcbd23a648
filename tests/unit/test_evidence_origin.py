"""One repository has many addresses; a pattern is anchored, and its work is bounded."""

import fnmatch
import random
import re

import pytest

from gopub.evidence.origin import SourcePolicy, matches, names_of, place, same_place, shown

SAME = [
    "https://git.example.org/team/orders",
    "https://git.example.org/team/orders.git",
    "https://git.example.org:443/team/orders/",
    "https://bot:secret@git.example.org/team/orders.git",
    "http://git.example.org/team/orders",
    "git@git.example.org:team/orders.git",
    "git.example.org:team/orders",
    "ssh://git@git.example.org/team/orders.git",
    "ssh://git@git.example.org:22/team/orders",
    "git+https://GIT.example.org/team/orders.git/",
]
OTHER = [
    "https://git.example.org/team/orders2",
    "https://git.example.org/evil/team/orders",
    "https://git.example.org.evil.org/team/orders",
    "https://evil.org/git.example.org/team/orders",
    "https://evil.org/?x=https://git.example.org/team/orders",
    "https://git.example.org:8443/team/orders",
    "https://git.example.org@evil.org/team/orders",
    "git.example.org@evil.org:team/orders",
    "file:///git.example.org/team/orders",
    "/git.example.org/team/orders",
    "https://git.example.org/team/Orders",
    "https://git.example.org/team",
    "",
]


@pytest.mark.parametrize("address", SAME)
def test_every_way_of_writing_a_repository_is_the_same_place(address: str) -> None:
    assert all(same_place(pattern, address) for pattern in SAME)


@pytest.mark.parametrize("address", OTHER)
def test_another_repository_is_another_place(address: str) -> None:
    assert not any(same_place(pattern, address) for pattern in SAME)


def test_a_folder_is_one_place_as_a_path_and_as_an_address() -> None:
    assert {place(text) for text in ("/srv/git/x.git", "/srv/git/x/", "file:///srv/git/x", "/srv/git/x/.git")} == {
        "/srv/git/x"
    }
    assert place("file:///srv/with%20space") == "/srv/with space"


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("https://git.example/team/*", "git@git.example:team/orders.git", True),
        ("https://git.example/team/*", "https://git.example/team/group/orders", False),
        ("https://git.example/team/**", "https://git.example/team/group/orders", True),
        ("https://git.example/team/**", "https://git.example/teams/orders", False),
        ("https://*.example/team/*", "https://a.example/team/x", True),
        ("https://*.example/team/*", "https://evil.org/a.example/team/x", False),
        ("**", "https://anywhere/x", True),
        ("*", "https://anywhere/x", False),
        ("https://git.example/team/or?ers", "https://git.example/team/orders", False),
        ("https://git.example/team/[a-z]*", "https://git.example/team/orders", False),
    ],
)
def test_a_star_does_not_cross_a_slash_and_two_do(pattern: str, text: str, *, fits: bool) -> None:
    assert same_place(pattern, text) is fits


@pytest.mark.parametrize(
    ("pattern", "ref", "fits"),
    [
        ("refs/tags/v*", "refs/tags/v1.0.0", True),
        ("v*", "refs/tags/v1.0.0", True),
        ("refs/tags/v*", "v1.0.0", False),
        ("refs/tags/v*", "refs/heads/v1.0.0", False),
        ("refs/tags/*", "refs/tags/orders/v1", False),
        ("refs/tags/**", "refs/tags/orders/v1", True),
        ("main", "main", True),
        ("refs/heads/main", "main", True),
        ("main", "refs/heads/main2", False),
        ("refs/heads/*", "HEAD", False),
        ("refs/heads/*", "a" * 40, False),
        ("**", "HEAD", True),
    ],
)
def test_a_ref_is_met_by_its_full_and_its_short_name(pattern: str, ref: str, *, fits: bool) -> None:
    assert any(matches(pattern, name) for name in names_of(ref)) is fits


def test_drawn_patterns_match_as_a_regular_expression_does() -> None:
    seed = random.randrange(1 << 32)
    draw = random.Random(seed)
    met = 0
    for _ in range(4000):
        pattern = "".join(draw.choices(["a", "b", "/", "*", "**", ".", "?"], k=draw.randint(1, 7)))
        text = "".join(draw.choices("aab/.", k=draw.randint(0, 7)))
        parts = re.split(r"(\*\*|\*)", pattern)
        wanted = "".join({"**": ".*", "*": "[^/]*"}.get(part, re.escape(part)) for part in parts)
        said = re.fullmatch(wanted, text) is not None
        met += said
        assert matches(pattern, text) is said, (seed, pattern, text)
    assert met > 50
    assert fnmatch.fnmatchcase("a/b", "*")  # the control: the usual glob crosses a slash
    assert not matches("*", "a/b")


def test_no_pattern_makes_its_matching_slow() -> None:
    """`re` needs ages for it: the number of steps is bounded here."""
    assert not matches("*a" * 100, "a" * 99 + "b" * 800)
    assert not matches("**", "a" * 1001)


def test_what_is_shown_of_a_source_is_one_plain_line_without_its_password() -> None:
    assert shown("https://bot:secret@git.example/x") == "'https://git.example/x'"
    assert shown("a\x1b]0;t\x07\nb") == r"'a\x1b]0;t\x07\nb'"
    assert len(shown("x" * 5000)) < 130


def test_a_policy_without_patterns_accepts_and_says_so() -> None:
    assert SourcePolicy().complaint("anything", "") == ""
    assert "not restricted" in SourcePolicy().says("anything", "main")
    closed = SourcePolicy((), ("refs/tags/**",))
    assert closed.words() == "any repository at refs/tags/** (the repository is not restricted)"
    assert "built at 'main', and not at refs/tags/**" in closed.complaint("anything", "main")


@pytest.mark.parametrize(
    "path", ["../evil/x", "a/../../evil/x", "./x", "..", "%2e%2e/evil/x", "a%2F..%2F..%2Fevil", "..\\evil", "x/."]
)
def test_an_address_that_goes_up_again_is_nobodys(path: str) -> None:
    """A client of HTTP resolves it before it asks: what it fetches lies elsewhere."""
    for address in (f"https://git.example/team/{path}", f"git@git.example:team/{path}", f"/srv/git/team/{path}"):
        assert not same_place("https://git.example/**", address) and not same_place("/srv/git/team/**", address)
    for good in ("a/b", ".github", "a..b", "...", "a%20b"):
        assert same_place("https://git.example/team/**", f"https://git.example/team/{good}")
    assert same_place("../hello", "../hello")


@pytest.mark.parametrize("hidden", ["\n", "\0", "\u00a0", "\u202e", "\u200b", "\r\nx", "\x1b[2K"])
def test_a_name_with_what_cannot_be_seen_is_nobodys(hidden: str) -> None:
    """A star stands for letters: what is shown on one line must be all that was compared."""
    address = "https://git.example/team/orders"
    policy = SourcePolicy(("https://git.example/**",), ("refs/tags/*",))
    assert policy.complaint(address, "refs/tags/v1") == ""
    for wrong in (f"{address}{hidden}", f"{hidden}{address}", f"https://git.example/te{hidden}am/orders"):
        assert policy.complaint(wrong, "refs/tags/v1") != ""
    for wrong in (f"refs/tags/v1{hidden}", f"refs/tags/{hidden}v1"):
        assert policy.complaint(address, wrong) != ""
