"""The language of `when:`: patterns with stars, fields by their paths, texts with fields in them; and always an end."""

from __future__ import annotations

import json
import random
import re

import pytest

from gopub.spec.refglob import matches
from gopub.spec.sources import ENDS, GOPUB, OF_ALL
from gopub.spec.stars import covers, glob
from gopub.spec.when import Event, When, field_of, filled
from gopub.views.notices import Ended, names, payload_schemas
from tests.support.chance import seed
from tests.support.pace import at_most

FIELDS = json.loads(
    '{"ref": "refs/tags/v1", "user": {"name": "Ann", "id": 7}, "ok": true, "none": null, "commits": [{"id": "a1"}]}'
)


def when(**match: list[str]) -> When:
    return When.model_validate({"source": "gitlab", "type": "push", "match": match})


def push(**fields: object) -> Event:
    return Event("gitlab", "push", json.loads(json.dumps(fields)))


def by_regex(pattern: str) -> re.Pattern[str]:
    stands = {"*": "[^/]*"}
    parts = (stands.get(part) or (".*" if part.startswith("*") else re.escape(part)) for part in
             re.split(r"(\*+)", pattern))  # fmt: skip
    return re.compile("".join(parts), re.DOTALL)


def test_stars_mean_what_a_regular_expression_for_them_would():
    drawn, found = random.Random(seed()), 0
    for _ in range(20_000):
        pattern = "".join(drawn.choice("ab/\n**") for _ in range(drawn.randint(0, 6)))
        text = "".join(drawn.choice("ab/\n") for _ in range(drawn.randint(0, 6)))
        fits = by_regex(pattern).fullmatch(text) is not None
        assert glob(pattern).matches(text) == fits, (pattern, text)
        found += fits
    assert found > 500


def test_a_pattern_that_covers_another_matches_all_that_it_does():
    drawn, found = random.Random(seed()), 0
    for _ in range(10_000):
        wide, narrow = ("".join(drawn.choice("ab/**") for _ in range(drawn.randint(0, 5))) for _ in range(2))
        if covers(wide, narrow):
            found += 1
            one = re.sub(r"\*+", lambda star: "".join(drawn.choice("ab/" if len(star[0]) > 1 else "ab")
                                                       for _ in range(drawn.randint(0, 3))), narrow)  # fmt: skip
            assert glob(wide).matches(one), (wide, narrow, one)
    assert found > 200
    assert covers("refs/tags/*", "refs/tags/v1.*")
    assert not covers("refs/tags/*", "refs/tags/**"), "a star crosses no /"


def test_forty_stars_over_a_thousand_letters_end_at_once():
    """The work is that of the letters: a pattern with forty stars takes no more than a few times that with one."""
    text = "refs/tags/" + "a" * 1000

    forty = "refs/tags/" + "**a" * 40 + "b"
    at_most(200, lambda: matches(text, [forty]), than=lambda: matches(text, ["refs/tags/**b"]))
    assert not matches(text, [forty])


@pytest.mark.parametrize(
    ("path", "text"),
    [("ref", "refs/tags/v1"), ("user.name", "Ann"), ("user.id", "7"), ("ok", "true"), ("commits.0.id", "a1"),
     ("commits.1.id", None), ("commits.-1.id", None), ("none", None), ("user", None), ("commits", None),
     ("ref.0", None), ("user.name.x", None), ("nothing", None)],
)  # fmt: skip
def test_a_field_is_found_by_its_path_or_there_is_none(path: str, text: str | None):
    assert field_of(FIELDS, path) == text


def test_every_field_has_to_match_and_one_pattern_of_it_is_enough():
    rule = when(ref=["refs/heads/main", "refs/heads/release/*"], user_username=["ann"])
    assert rule.fits(push(ref="refs/heads/release/1", user_username="ann"))
    assert not rule.fits(push(ref="refs/heads/release/1", user_username="bob"))
    assert not rule.fits(push(ref="refs/heads/release/1/2", user_username="ann"))
    assert not rule.fits(push(ref="refs/heads/main"))
    assert not rule.fits(Event("gitlab", "tag_push", push(ref="refs/heads/main", user_username="ann").fields))
    assert not rule.fits(Event("gopub", "push", push(ref="refs/heads/main", user_username="ann").fields))


@pytest.mark.parametrize(
    "ref", ["refs/tags/v1\nrefs/tags/v2", "refs/tags/\uff56\u0031", "refs/tags/V1", " refs/tags/v1", "refs/tags/v1/x",
            "refs/tags/*"],
)  # fmt: skip
def test_names_that_only_look_alike_do_not_match(ref: str):
    assert not when(ref=["refs/tags/v1", "refs/tags/v[12]"]).fits(push(ref=ref))


def test_a_field_that_no_person_wrote_is_not_searched_through():
    rule = when(message=["**x**"])
    assert rule.fits(push(message="x" * 1000))
    assert not rule.fits(push(message="x" * 1001))


def test_a_text_takes_fields_as_text_alone_on_one_line():
    event = push(ref="{user}\u202e\n\x1b[31m{", user={"name": "x" * 5000})
    assert filled("tag {ref} by {user.name}{gone}!", event) == "tag {user} [31m{ by " + "x" * 199 + "…!"


def test_our_own_events_are_those_that_rollouts_tell_with_the_fields_that_they_have():
    assert set(names()) == {f"gopub.{name}" for name in GOPUB}
    for name, schema in payload_schemas().items():
        assert isinstance(schema, dict)
        assert GOPUB[name.removeprefix("gopub.")] == set(schema["properties"]), name
    assert {name for name, fields in GOPUB.items() if fields == set(Ended.__dataclass_fields__)} == set(ENDS)
    assert {"app", "env", "rollout", "release"} == OF_ALL
