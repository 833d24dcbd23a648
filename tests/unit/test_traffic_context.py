"""What goes along with a request: tags, rule and baggage, as the edge's module says it."""

from __future__ import annotations

import random
from typing import Any

import pytest
from opentelemetry.baggage.propagation import W3CBaggagePropagator

from gopub.traffic.asked import LONGEST_LIST, MOST_TAGS
from tests.unit.traffic_lua import dice, lua, varied

MOST, LONGEST = 64, 8192
DEFAULT = "default@7"


def carried(
    headers: dict[str, str | list[str]], *, trusted: bool = True, track: str = "stable", rule: str = "default",
    tag: str | None = "v2",
) -> tuple[str | None, str | None]:  # fmt: skip
    """The lines of x-gray-tag and baggage that are set; None: as it came."""
    return many([(headers, trusted, track, rule, tag)])[0]


def many(cases: list[tuple[dict[str, Any], bool, str, str, str | None]]) -> list[tuple[str | None, str | None]]:
    said = lua(
        "context",
        [
            {"table": varied({"canary.tag": tag} if tag else {}), "track": track, "rule": rule,
             "request": {"headers": headers, "trusted": trusted}}
            for headers, trusted, track, rule, tag in cases
        ],
    )  # fmt: skip
    assert all(one["rule"] == f"{case[3]}@7" for one, case in zip(said, cases, strict=True))
    return [(one["tags"], one["baggage"]) for one in said]


def test_a_plain_request_to_stable_has_nothing_but_its_rule():
    assert carried({}) == (None, None)
    assert carried({"baggage": "userId=7"}) == (None, None), "the members of others are not even read"


def test_the_canary_adds_its_tag_and_the_baggage_says_both():
    assert carried({}, track="canary", rule="weight") == ("v2", "gray.tags=v2,gray.rule=weight@7")
    assert carried({}, track="canary", rule="weight", tag=None) == (None, "gray.rule=weight@7")
    held = {"x-gray-tag": " a , b,", "baggage": "userId=7;p=1 , x=2"}
    assert carried(held, track="canary", rule="me") == (
        " a , b,,v2",
        "userId=7;p=1,x=2,gray.tags=a%2Cb%2Cv2,gray.rule=me@7",
    )


def test_tags_of_a_trusted_peer_go_on_as_they_came():
    assert carried({"x-gray-tag": "a,b"}) == (None, f"gray.tags=a%2Cb,gray.rule={DEFAULT}")
    assert carried({"x-gray-tag": ["a", "v2"]}, track="canary", rule="r") == (None, "gray.tags=a%2Cv2,gray.rule=r@7")


def test_what_strangers_claim_is_dropped_and_the_rest_kept():
    lines = ["a=1, gray.tags=v2 ,gray.x=1;p", " gray.rule=me@1,b=2"]
    assert carried({"x-gray-tag": "vip", "baggage": lines}, trusted=False) == (None, "a=1,b=2")
    assert carried({"baggage": "gray.tags=vip"}, trusted=False) == (None, ""), "taken off as a whole"
    assert carried({"baggage": lines}) == (None, "a=1,gray.x=1;p,b=2"), "the control: one of ours may say more"
    assert carried({"x-gray-tag": "vip"}, trusted=False, track="canary", rule="r")[0] == "v2", (
        "his tags are not carried"
    )
    assert carried({"baggage": "agray.tags=1,Gray.tags=2,x=gray.tags"}, trusted=False) == (
        None,
        "agray.tags=1,Gray.tags=2,x=gray.tags",
    )


WRITTEN = (
    "gray%2Etags", "%67ray.tags", "%20gray.tags", "+gray.tags+", "gray.tags%20", "\u00a0gray.tags", "%C2%A0gray.tags",
    "%0bgray.tags", "\x85gray.tags", "%E2%80%83gray.tags%09",
)  # fmt: skip


def test_a_claim_whose_name_is_written_otherwise_is_none_at_the_next_service_either():
    """OpenTelemetry decodes names and takes blanks off, and writes to the next service what it then has."""
    propagation = W3CBaggagePropagator()
    reached = set()
    for name in WRITTEN:
        line = f"a=1,{name}=vip"
        onward: dict[str, str] = {}
        propagation.inject(onward, propagation.extract({"baggage": line}))
        if "gray.tags=vip" in onward["baggage"]:
            reached.add(name)
        for trusted in (False, True):
            assert carried({"baggage": line}, trusted=trusted) == (None, "a=1"), name
    assert len(reached) > 5, "control: who takes them as they come passes them on as ours"
    others = "a=1,b%2Egray.tags=1,%2567ray.tags=2,c=gray%2Etags"
    assert carried({"baggage": others}, trusted=False) == (None, others), "control: none of ours"


def test_a_malformed_list_is_neither_mended_nor_told():
    for bad in ("a b", "ä", "x" * 64, ",".join(["a"] * (MOST_TAGS + 1)), "a," * LONGEST_LIST):
        assert carried({"x-gray-tag": bad}, track="canary", rule="r") == (None, "gray.rule=r@7"), bad[:9]


def test_a_tag_for_which_the_list_has_no_room_is_not_added():
    full = ",".join(f"t{at}" for at in range(MOST_TAGS))
    tags, baggage = carried({"x-gray-tag": full}, track="canary", rule="r")
    assert tags == full
    assert baggage == f"gray.tags={full.replace(',', '%2C')},gray.rule=r@7"


@pytest.mark.parametrize("room", [0, 1, 2])
def test_others_come_first_where_the_baggage_is_full(room):
    members = ",".join(f"m{at}=1" for at in range(MOST - room))
    wanted = ("gray.tags=v2", "gray.rule=r@7")[:room]
    assert carried({"baggage": members}, track="canary", rule="r")[1] == ",".join((members, *wanted))
    long = "m=" + "x" * (LONGEST - 2 - sum(len(one) + 1 for one in wanted))
    assert carried({"baggage": long}, track="canary", rule="r")[1] == ",".join((long, *wanted))


def _oracle(baggage: str, tags: str, *, trusted: bool, canary: bool) -> list[str]:
    """What shall be in the baggage, member by member, where there is room."""
    kept = []
    for member in (one.strip(" \t") for one in baggage.split(",")):
        name = member.split("=")[0].split(";")[0].strip(" \t")
        ours = name.startswith("gray.") and (not trusted or name in ("gray.tags", "gray.rule"))
        kept += [member] if member and not ours else []
    mine = (tags.split(",") if trusted and tags else []) + (["v2"] if canary else [])
    mine = list(dict.fromkeys(mine))
    kept += [f"gray.tags={'%2C'.join(mine)}"] if mine else []
    return kept + ([f"gray.rule={'weight' if canary else 'default'}@7"] if mine or canary else [])


def _any_baggage(draw: random.Random) -> str:
    names = ("a", "gray.tags", "gray.rule", "gray.x", " gray.tags ", "gray", "gray.", "b", "", "gray.tags;p", "\tx")
    return ",".join(draw.choice(names) + draw.choice(("=1", "", "= 2 ;p=1", "=%2C")) for _ in range(draw.randrange(6)))


def test_the_baggage_is_what_twenty_lines_say_it_shall_be():
    draw = dice()
    cases = []
    for _ in range(3000):
        canary, trusted = not draw.randrange(2), not draw.randrange(2)
        headers = {"baggage": _any_baggage(draw)} if draw.randrange(4) else {}
        if draw.randrange(2):
            headers["x-gray-tag"] = ",".join(draw.sample(("a", "b", "v2", "c.d"), draw.randrange(1, 4)))
        cases.append((headers, trusted, *(("canary", "weight") if canary else ("stable", "default")), "v2"))
    for case, (_, baggage) in zip(cases, many(cases), strict=True):
        headers, trusted, track, *_ = case
        came = headers.get("baggage", "")
        shall = _oracle(came, headers.get("x-gray-tag", ""), trusted=trusted, canary=track == "canary")
        found = came if baggage is None else baggage
        assert [one.strip(" \t") for one in found.split(",") if one.strip(" \t")] == shall, case
