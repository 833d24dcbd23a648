"""Signing without a key: gopub signs with a Sigstore that really runs, and stock cosign believes it, offline."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
from base64 import b64encode
from dataclasses import replace
from pathlib import Path

import pytest

from gopub.build.sandbox import NONE, Sandbox, find_sandbox
from gopub.canon import canonical
from gopub.errors import GopubError, RefusedError
from gopub.evidence.keyless import KeylessVerifier
from gopub.evidence.keyless_signing import as_error, keyless_signing, opening, signing_room
from gopub.evidence.reading import Certificate, read_bundle
from gopub.evidence.signing import ToSign
from gopub.evidence.signing_frames import Limits
from gopub.evidence.sigstore_signing import Desk, Failure
from gopub.evidence.statement import Subject, statement
from gopub.evidence.trust import SignsWith, Ticket, read_trust
from gopub.process import base_environment, run
from gopub.spec.connections import parse_connections
from gopub.wiring.backends import BACKENDS
from tests.contracts.sigstore_client import SLSA, checked_by_cosign
from tests.contracts.sigstore_faults import PAGE, broken, led_to, trusting
from tests.sigstore_stack import SigstoreStack
from tests.support.sigstore_world import World

PAYLOAD = b"an archive"
DIGEST = hashlib.sha256(PAYLOAD).hexdigest()
SAID = statement([Subject("a.tar.gz", DIGEST)], SLSA, {"buildDefinition": {}})
PATIENT = Limits(connect=30.0, call=60.0, attempts=2, patience=3600.0, pause=0.05)
"""Each real service answers within them, however busy the machine is."""
SHORT = replace(PATIENT, call=0.5)
"""For services that answer nothing."""


def using(stack: SigstoreStack, *, token: str = "", config: bytes = b"") -> SignsWith:
    data = config or stack.trust.read_bytes()
    return SignsWith(data.decode(), read_trust(data, file="trust.json", name="lab"), Ticket(token or stack.token()))


def refused(told: SignsWith, limits: Limits = PATIENT) -> GopubError:
    """Why nothing is signed, by what the process that signs does, in this one."""
    with pytest.raises(Failure) as caught:
        Desk(opening(told, limits)).bundles([{"digest": DIGEST}, {"statement": b64encode(canonical(SAID)).decode()}])
    error = as_error(caught.value.to_json(), told.trust.name)
    assert told.ticket.token not in f"{error} {told!r}"
    return error


@pytest.fixture(params=["sandbox", "none"])
async def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return await find_sandbox() if request.param == "sandbox" else NONE


async def test_what_it_signs_is_believed_here_and_by_cosign_offline(
    sigstore_stack: SigstoreStack, sandbox: Sandbox, tmp_path: Path
) -> None:
    file, other = tmp_path / "a.tar.gz", tmp_path / "b.tar.gz"
    file.write_bytes(PAYLOAD)
    other.write_bytes(b"another")
    async with keyless_signing(using(sigstore_stack), sandbox, tmp_path / "work", PATIENT) as signing:
        blob, said = await signing.bundles([ToSign(PAYLOAD), ToSign.stating(SAID)])
        (later,) = await signing.bundles([ToSign(b"release.json")])
    by = KeylessVerifier(using(sigstore_stack).trust)
    assert by.blob(blob, DIGEST).signer == f"{sigstore_stack.identity()} of {sigstore_stack.issuer} in lab"
    assert by.statement(said, DIGEST).statement == SAID
    certificates = {read_bundle(one).signer for one in (blob, said, later)}
    assert len(certificates) == 1 and isinstance(certificates.pop(), Certificate), "one certificate for all of it"
    for name, bundle in (("a.sigstore.json", blob), ("a.slsa.json", said)):
        (tmp_path / name).write_bytes(bundle)
        assert await checked_by_cosign(sigstore_stack, tmp_path / name, file) == 0
        assert await checked_by_cosign(sigstore_stack, tmp_path / name, other) != 0


# Services that do not do their part

ONCE, OFTEN = 1, PATIENT.attempts
FAULTS = [
    ("500", "it answers 500: no room on the disk; asked 2 times", OFTEN),
    ("503", "it answers 503; asked 2 times", OFTEN),
    ("404", "it answers 404", ONCE),
    ("page", "answer is", ONCE),
    ("list", "answer is", ONCE),
    ("redirect", "it answers 307, a redirect, which is not followed", ONCE),
    ("huge", "an answer of more than 1048576 bytes", ONCE),
    ("hangs up", "no connection: it hung up without an answer; asked 2 times", OFTEN),
    ("silent", "no whole answer within 0.5s; asked 2 times", OFTEN),
    ("drips", "no whole answer within 0.5s; asked 2 times", OFTEN),
]


@pytest.mark.parametrize(("how", "said", "often"), FAULTS)
def test_an_authority_that_is_broken_is_named_with_its_address(
    sigstore_stack: SigstoreStack, how: str, said: str, often: int
) -> None:
    limits = SHORT if "within" in said else PATIENT
    with broken(how) as service:
        error = refused(using(sigstore_stack, config=led_to(sigstore_stack, "fulcio", service.url)), limits)
        assert error.code == "GP360" and f"service fulcio at {service.url}: " in error.problem and said in error.problem
        assert PAGE.decode() not in str(error) and error.hint
        assert service.asked == often or limits is SHORT  # who is not waited for may not have come


@pytest.mark.parametrize("name", ["rekor", "tsa"])
@pytest.mark.parametrize(("how", "said"), [(how, said) for how, said, _ in FAULTS if how in ("500", "page", "huge")])
def test_so_are_a_log_and_a_timestamp_authority(sigstore_stack: SigstoreStack, name: str, how: str, said: str) -> None:
    with broken(how) as service:
        error = refused(using(sigstore_stack, config=led_to(sigstore_stack, name, service.url)))
        assert error.code == "GP360" and f"service {name} at {service.url}: " in error.problem and said in error.problem
        assert service.seen[0] == "", "the token is the authority's alone"


@pytest.mark.parametrize("name", ["fulcio", "rekor", "tsa"])
def test_one_that_is_not_there_is_told_and_asked_again(sigstore_stack: SigstoreStack, name: str) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        error = refused(using(sigstore_stack, config=led_to(sigstore_stack, name, url)))
    assert error.code == "GP360" and f"service {name} at {url}: no connection: refused" in error.problem


def test_one_that_hangs_is_not_asked_again_when_patience_is_over(sigstore_stack: SigstoreStack) -> None:
    with broken("silent") as service:
        told = using(sigstore_stack, config=led_to(sigstore_stack, "fulcio", service.url))
        error = refused(told, replace(SHORT, attempts=50, patience=0.5))
    assert error.problem.endswith(f"fulcio at {service.url}: no whole answer within 0.5s; asked once")


@pytest.mark.parametrize("name", ["ctlog", "fulcio", "rekor", "timestamp"])
def test_one_that_was_killed_is_told_by_the_name_of_who_needed_it(sigstore_stack: SigstoreStack, name: str) -> None:
    sigstore_stack.end(name)
    try:
        # Without its log of certificates Fulcio hangs; it goes on waiting for it, also when it is there again.
        hangs = name == "ctlog"
        error = refused(using(sigstore_stack), replace(PATIENT, call=2.0 if hangs else PATIENT.call, attempts=1))
        if hangs:
            sigstore_stack.end("fulcio")
    finally:
        sigstore_stack.mend()
    who = {"ctlog": "fulcio", "timestamp": "tsa"}.get(name, name)
    url = sigstore_stack.url("fulcio" if name == "ctlog" else name)
    assert error.code == "GP360" and f"the Sigstore service {who} at {url}: " in error.problem


def test_all_is_signed_at_once(sigstore_stack: SigstoreStack) -> None:
    with broken("together 3", sigstore_stack.url("rekor")) as service:
        told = using(sigstore_stack, config=led_to(sigstore_stack, "rekor", service.url))
        asked = [{"digest": hashlib.sha256(bytes([at])).hexdigest()} for at in range(3)]
        assert len(Desk(opening(told, PATIENT)).bundles(asked)) == 3
        assert service.asked == 3


@pytest.mark.parametrize("name", ["fulcio", "rekor"])
def test_what_passes_is_asked_again_and_signed(sigstore_stack: SigstoreStack, name: str) -> None:
    with broken("503 once", sigstore_stack.url(name)) as service:
        told = using(sigstore_stack, config=led_to(sigstore_stack, name, service.url))
        (bundle,) = Desk(opening(told, PATIENT)).bundles([{"digest": DIGEST}])
        assert service.asked == OFTEN
    assert KeylessVerifier(told.trust).blob(bundle.encode(), DIGEST)


# Tokens, and trust configs that do not fit


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"lasting": -60}, "it has expired"),
        ({"aud": "vault"}, "it is not for the audience sigstore"),
        ({"sub": None}, "it lacks one of aud, sub, iat, exp and iss"),
    ],
)
def test_a_token_that_nobody_would_take_is_told_before_anybody_is_asked(
    sigstore_stack: SigstoreStack, claims: dict[str, object], said: str
) -> None:
    token = sigstore_stack.token(**claims)  # type: ignore[arg-type]
    with broken("500") as service:
        config = led_to(sigstore_stack, "fulcio", service.url)
        error = refused(using(sigstore_stack, token=token, config=config))
        assert (error.code, service.asked) == ("GP361", 0)
        assert said in error.problem and "id_tokens" in error.hint


@pytest.mark.parametrize("token", ["x", "a.b.c", "é" * 50])
def test_what_is_no_token_is_told_and_not_shown(sigstore_stack: SigstoreStack, token: str) -> None:
    with pytest.raises(Failure) as caught:
        Desk(opening(using(sigstore_stack, token=token), PATIENT))
    assert str(as_error(caught.value.to_json(), "lab")).startswith(
        "GP361 the OIDC token for lab cannot be used: it is no OIDC token\nhint: "
    )


def test_a_token_of_an_issuer_that_the_authority_does_not_know_is_told(sigstore_stack: SigstoreStack) -> None:
    token = sigstore_stack.token(iss="https://gitlab.elsewhere")
    error = refused(using(sigstore_stack, token=token))
    assert error.code == "GP360" and f"fulcio at {sigstore_stack.url('fulcio')}: it answers 4" in error.problem
    assert "the token is one of https://gitlab.elsewhere for " in error.problem


def test_a_certificate_that_stands_in_no_log_that_is_known_is_told(sigstore_stack: SigstoreStack) -> None:
    config = trusting(sigstore_stack, "ctlogs", World().trusted_root())
    error = refused(using(sigstore_stack, config=config))
    assert (
        error.code == "GP360" and f"fulcio at {sigstore_stack.url('fulcio')}: its certificate is in no" in error.problem
    )


async def test_what_its_own_trust_config_does_not_believe_is_not_given_on(
    sigstore_stack: SigstoreStack, tmp_path: Path
) -> None:
    told, other = using(sigstore_stack), World().trusted_root()
    steps = {"certificateAuthorities": "authority", "tlogs": "log entry", "timestampAuthorities": "time"}
    async with keyless_signing(told, NONE, tmp_path, PATIENT) as signing:
        assert await signing.bundles([ToSign(PAYLOAD)])
        for part, step in steps.items():
            signing.using = using(sigstore_stack, config=trusting(sigstore_stack, part, other))
            with pytest.raises(RefusedError) as caught:
                await signing.bundles([ToSign(PAYLOAD)])
            assert caught.value.code == "GP364" and caught.value.hint
            assert (
                f"lab does not believe what was just signed with it: GP317 the signature is not believed: {step}"
                in str(caught.value)
            )


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (
            "http://fulcio.corp.test",
            "http://fulcio.corp.test is not asked: what is sent there could be read on the way",
        ),
        ("http://127.0.0.1.nip.test", "is not asked"),
        ("ftp://127.0.0.1", "is not asked"),
    ],
)
def test_no_token_is_sent_where_it_could_be_read(sigstore_stack: SigstoreStack, url: str, said: str) -> None:
    error = refused(using(sigstore_stack, config=led_to(sigstore_stack, "fulcio", url)))
    assert error.code == "GP362" and said in error.problem


def test_a_trusted_root_alone_does_not_sign(sigstore_stack: SigstoreStack) -> None:
    error = refused(using(sigstore_stack, config=sigstore_stack.trusted_root.read_bytes()))
    assert error.code == "GP362" and "lab cannot sign" in error.problem


# The process


async def test_the_token_is_in_no_command_line_and_no_environment(
    sigstore_stack: SigstoreStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = sigstore_stack.token()
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", token)
    text = f"s: {{kind: sigstore, trust: {sigstore_stack.trust}}}\n"
    told = parse_connections(text, "c.yaml", tmp_path, BACKENDS)["s"].signs_with("s")  # type: ignore[attr-defined]
    assert told.ticket.token == token
    async with keyless_signing(told, await find_sandbox(), tmp_path, PATIENT) as signing:
        await signing.bundles([ToSign(PAYLOAD)])
        mine = _started(os.getpid())
        shown = [_read(pid / name) for pid in mine for name in ("cmdline", "environ")]
    assert any(b"gopub.evidence.signing_child" in one for one in shown), "control: it was looked at"
    assert [one for one in shown if token.encode() in one] == []


def _started(by: int) -> list[Path]:
    """The processes below one, as /proc shows them."""
    return [one for one in Path("/proc").iterdir() if one.name.isdigit() and by in _parents(one.name)]


def _read(path: Path) -> bytes:
    """What stands in a file of /proc; nothing where its process has ended, or shows it to nobody."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _parents(at: str) -> set[int]:
    """The processes above it."""
    found: set[int] = set()
    while at not in {"0", "1"}:
        try:
            at = Path(f"/proc/{at}/stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            break
        found.add(int(at))
    return found


async def test_it_sees_neither_the_source_nor_the_files_of_this_machine(tmp_path: Path) -> None:
    source = Path(__file__)  # whose folder, unlike the test's own, no other /tmp covers
    look = "import os, sys; print([os.path.exists(one) for one in sys.argv[1:]], os.environ.get('SECRET'), os.getcwd())"
    asked = [str(source), str(source.parents[2] / "pyproject.toml"), str(tmp_path), os.__file__]
    room = signing_room(await find_sandbox(), tmp_path / "work", None)
    folder = source.parents[2] / "gopub"
    told = await room.run(["python3", "-c", look, *asked], folder, env={"PATH": os.environ["PATH"]})
    assert told.text == "[False, False, False, True] None /signing/gopub"
    control = await run(["python3", "-c", look, *asked], env=base_environment())
    assert control.text.startswith("[True, True, True, True]")


async def test_what_could_not_be_signed_is_known_before_it_is_built(
    sigstore_stack: SigstoreStack, tmp_path: Path
) -> None:
    with broken("500") as service:
        config = led_to(sigstore_stack, "fulcio", service.url)
        async with keyless_signing(using(sigstore_stack, config=config), NONE, tmp_path, PATIENT) as signing:
            await signing.ready()
        old = using(sigstore_stack, config=config, token=sigstore_stack.token(lasting=-60))
        async with keyless_signing(old, NONE, tmp_path, PATIENT) as signing:
            with pytest.raises(GopubError, match=r"^GP361 .*it has expired"):
                await signing.ready()
        assert service.asked == 0, "no service is asked for it"


async def test_a_process_that_is_killed_is_told(sigstore_stack: SigstoreStack, tmp_path: Path) -> None:
    async with keyless_signing(using(sigstore_stack), NONE, tmp_path, PATIENT) as signing:
        os.kill(signing.child.pid, signal.SIGKILL)
        with pytest.raises(GopubError, match=r"^GP363 the process that signs gave up: it ended with exit code -9"):
            await signing.bundles([ToSign(PAYLOAD)])


# Where the token comes from


def _told(text: str, folder: Path) -> SignsWith:
    made: SignsWith = parse_connections(f"s: {text}\n", "c.yaml", folder, BACKENDS)["s"].signs_with("s")  # type: ignore[attr-defined]
    return made


async def test_the_token_of_a_gitlab_job_is_found_by_the_word_ambient(
    sigstore_stack: SigstoreStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"{{kind: sigstore, trust: {sigstore_stack.trust}, token: ambient}}"
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.setenv("GITLAB_CI", "true")
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", sigstore_stack.token())
    told = _told(text, tmp_path)
    assert told.ticket.token == ""
    async with keyless_signing(told, await find_sandbox(), tmp_path / "work", PATIENT) as signing:
        (bundle,) = await signing.bundles([ToSign(PAYLOAD)])
    assert KeylessVerifier(told.trust).blob(bundle, DIGEST)


def test_github_is_asked_for_the_token_of_a_job_by_the_word_ambient(
    sigstore_stack: SigstoreStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITLAB_CI", raising=False)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "the workflow's")
    text = f"{{kind: sigstore, trust: {sigstore_stack.trust}, token: ambient}}"
    with broken("grants", sigstore_stack.token()) as github:
        monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", github.url)
        told = _told(text, tmp_path)
        (bundle,) = Desk(opening(told, PATIENT)).bundles([{"digest": DIGEST}])
        assert github.seen == ["bearer the workflow's"]
    assert KeylessVerifier(told.trust).blob(bundle.encode(), DIGEST)
    with broken("refuses") as github:
        monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", github.url)
        with pytest.raises(Failure) as caught:
            Desk(opening(_told(text, tmp_path), PATIENT))
    error = as_error(caught.value.to_json(), "lab")
    assert error.code == "GP361" and "the CI gives none" in error.problem and "id-token: write" in error.hint
    assert "the workflow's" not in str(error)


async def test_where_there_is_no_ci_the_word_ambient_is_told(
    sigstore_stack: SigstoreStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GITLAB_CI", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)
    told = _told(f"{{kind: sigstore, trust: {sigstore_stack.trust}, token: ambient}}", tmp_path)
    async with keyless_signing(told, await find_sandbox(), tmp_path, PATIENT) as signing:
        with pytest.raises(GopubError, match=r"^GP361 .*this is no CI that gives one"):
            await signing.bundles([ToSign(PAYLOAD)])


def test_the_token_lies_where_the_connection_says(
    sigstore_stack: SigstoreStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust = f"kind: sigstore, trust: {sigstore_stack.trust}"
    (tmp_path / "token").write_text("of the file\n")
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", "of the usual variable")
    monkeypatch.setenv("OTHER", "of another variable")
    told = [
        _told(f"{{{trust}{more}}}", tmp_path).ticket.token
        for more in ("", ", token: {env: OTHER}", ", token: {file: token}")
    ]
    assert told == ["of the usual variable", "of another variable", "of the file"]
    monkeypatch.delenv("SIGSTORE_ID_TOKEN")
    with pytest.raises(GopubError, match=r"GP142 .*SIGSTORE_ID_TOKEN"):
        _told(f"{{{trust}}}", tmp_path)


@pytest.mark.parametrize(("word", "host"), [("public-good", "fulcio.sigstore.dev"), ("staging", "fulcio.sigstage.dev")])
def test_the_instances_at_sigstore_dev_are_known_by_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str, host: str
) -> None:
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", "x")
    told = _told(f"{{kind: sigstore, instance: {word}}}", tmp_path)
    assert host in json.loads(told.config)["signingConfig"]["caUrls"][0]["url"]
    assert told.trust.authorities and told.trust.logs and told.trust.ctlogs
