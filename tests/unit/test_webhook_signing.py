"""Who sent a webhook: the plain token, and the signed form with its clock and its two secrets."""

from __future__ import annotations

import base64

import pytest

from deployments.hooks.signing import TOLERANCE, HookSecrets, refusal, sign, signing_key

# The vector that the Standard Webhooks specification and its libraries publish: an oracle that is not ours.
VECTOR_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
VECTOR_ID, VECTOR_STAMP, VECTOR_BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}'
VECTOR_SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

NEW = "whsec_" + base64.b64encode(b"n" * 32).decode()
OLD = "whsec_" + base64.b64encode(b"o" * 32).decode()
NOW = 1_700_000_000.0
BODY = b'{"object_kind": "push"}'


def signed(*secrets: str, stamp: str = "1700000000", body: bytes = BODY) -> dict[str, str]:
    signatures = " ".join(sign(secret, "msg_1", stamp, body) for secret in secrets)
    return {"webhook-id": "msg_1", "webhook-timestamp": stamp, "webhook-signature": signatures}


def test_the_published_vector_verifies() -> None:
    assert sign(VECTOR_SECRET, VECTOR_ID, VECTOR_STAMP, VECTOR_BODY) == VECTOR_SIGNATURE
    headers = {"webhook-id": VECTOR_ID, "webhook-timestamp": VECTOR_STAMP, "webhook-signature": VECTOR_SIGNATURE}
    assert refusal(HookSecrets(signing=(VECTOR_SECRET,)), headers, VECTOR_BODY, float(VECTOR_STAMP)) is None


@pytest.mark.parametrize("by", [NEW, OLD])
def test_the_current_and_the_previous_secret_are_accepted(by: str) -> None:
    assert refusal(HookSecrets(signing=(NEW, OLD)), signed(by), BODY, NOW) is None


def test_one_of_several_signatures_is_enough() -> None:
    headers = signed(OLD, NEW)
    headers["webhook-signature"] = "v2,abc v1,not-base64 " + headers["webhook-signature"]
    assert refusal(HookSecrets(signing=(NEW,)), headers, BODY, NOW) is None


@pytest.mark.parametrize(
    ("headers", "body", "reason"),
    [
        pytest.param({}, BODY, "it is not signed", id="unsigned"),
        pytest.param(signed(OLD), BODY, "no signature matches", id="a secret of somebody else"),
        pytest.param(signed(NEW), BODY + b" ", "no signature matches", id="a changed body"),
        pytest.param(signed(NEW) | {"webhook-id": "msg_2"}, BODY, "no signature matches", id="another id"),
        pytest.param(signed(NEW) | {"webhook-signature": "v1,"}, BODY, "no signature matches", id="empty"),
        pytest.param(
            signed(NEW) | {"webhook-timestamp": "1700000001"}, BODY, "no signature matches", id="a changed time"
        ),
        *(
            pytest.param(
                signed(NEW, stamp=stamp),
                BODY,
                "its timestamp is more than 300s away from our clock",
                id=f"time {stamp}",
            )
            for stamp in ("1699999699", "1700000301", "nan", "inf", "soon", "0")
        ),
    ],
)
def test_what_is_refused(headers: dict[str, str], body: bytes, reason: str) -> None:
    assert refusal(HookSecrets(signing=(NEW,)), headers, body, NOW) == reason


@pytest.mark.parametrize("off", [-TOLERANCE, 0, TOLERANCE])
def test_five_minutes_either_way_are_allowed(off: float) -> None:
    assert refusal(HookSecrets(signing=(NEW,)), signed(NEW, stamp=str(int(NOW + off))), BODY, NOW) is None


def test_plain_tokens_of_both_ages_are_accepted_and_others_are_not() -> None:
    secrets = HookSecrets(tokens=("new-token", "old-token"))
    assert refusal(secrets, {"x-gitlab-token": "new-token"}, BODY, NOW) is None
    assert refusal(secrets, {"x-gitlab-token": "old-token"}, BODY, NOW) is None
    for wrong in ({}, {"x-gitlab-token": ""}, {"x-gitlab-token": "new-toke"}, {"x-gitlab-token": "neü-token"}):
        assert refusal(secrets, wrong, BODY, NOW) == "the token is missing or wrong"


def test_once_signing_is_set_up_a_captured_token_opens_nothing() -> None:
    secrets = HookSecrets(tokens=("token-1234",), signing=(NEW,))
    assert refusal(secrets, {"x-gitlab-token": "token-1234"}, BODY, NOW) == "it is not signed"
    assert refusal(secrets, signed(NEW), BODY, NOW) is None


def test_without_any_secret_nobody_is_known() -> None:
    assert refusal(HookSecrets(), {"x-gitlab-token": ""}, BODY, NOW) == "no secret is set up"


@pytest.mark.parametrize("wrong", ["", "whsec_", "whsec_%%%", "whsec_c2hvcnQ=", NEW.removeprefix("whsec_")])
def test_what_is_no_signing_secret_is_refused_without_being_repeated(wrong: str) -> None:
    with pytest.raises(ValueError, match="not a signing secret") as caught:
        signing_key(wrong)
    assert len(wrong) < 8 or wrong not in str(caught.value)
