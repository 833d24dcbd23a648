"""For whom an order is and how fresh it must be, on an enrolled host: the real program in dash and busybox."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

from gopub.fleet.orders import Order, Record, Verb
from gopub.fleet.signed import signed_lines
from tests.support.enrolled import MACHINE_ID, SHELLS, TOKEN, EnrolledHost, fresh_signer, order_key

LAST = 10**15 - 1


@pytest.fixture(params=sorted(SHELLS))
def shell(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def host(tmp_path: Path) -> EnrolledHost:
    return EnrolledHost(tmp_path / "host")


def without(host: EnrolledHost, check: str, instead: str = "true") -> str:
    """The program with one check taken away."""
    text = host.text()
    assert check in text
    return text.replace(check, instead, 1)


FOR_OTHERS: dict[str, tuple[str, dict[str, str]]] = {
    "another host": ("GP465", {"host": "h2"}),
    "two names at once": ("GP465", {"host": "h1 app1"}),
    "no host": ("GP465", {"host": ""}),
    "another machine": ("GP434", {"machine_id": "0" * 32}),
    "no machine": ("GP434", {"machine_id": ""}),
    "another env": ("GP466", {"env": "staging"}),
    "no env": ("GP466", {"env": ""}),
    "two envs at once": ("GP466", {"env": "prod lab"}),
    "a pattern": ("GP466", {"env": "*"}),
    "another app": ("GP466", {"app": "billing"}),
    "the instance in another env": ("GP466", {"env": "lab"}),
    "an instance that is a path": ("GP430", {"instance": "../orders"}),
    "an instance with a slash": ("GP430", {"instance": "a/b"}),
    "a token that is none": ("GP430", {"token": "../../x"}),
}


@pytest.mark.parametrize("case", FOR_OTHERS, ids=lambda case: case.replace(" ", "-"))
def test_an_order_for_somebody_else_is_refused(host: EnrolledHost, shell: str, case: str) -> None:
    code, over = FOR_OTHERS[case]
    assert host.obey(host.order()).ok, "the instance belongs to orders in prod from here on"
    before = (host.folder / "opt/orders/.gopub/state").read_text()
    order = replace(host.order(n=2), **over)  # type: ignore[arg-type]
    said = host.ask(signed_lines(order, host.key, host.given(host.order())), shell=shell)
    assert (said.ok, said.code) == (False, code), said
    assert (host.folder / "opt/orders/.gopub/state").read_text() == before
    assert host.obey(host.order(n=2), shell=shell).ok, "control"


def test_control_each_check_alone_holds_its_order_off(host: EnrolledHost) -> None:
    order = host.order(n=1)
    for n, (over, check) in enumerate(
        [({"host": "h2"}, 'listed "$o_host" "$e_names"'), ({"env": "staging"}, 'listed "$o_env" "$e_envs"')], start=1
    ):
        asked = replace(order, n=n, instance=f"free{n}", **over)  # type: ignore[arg-type]
        head = signed_lines(asked, host.key, host.given(asked))
        assert not host.ask(head).ok
        assert host.ask(head, text=without(host, check)).ok, check


def test_any_name_and_env_of_its_own_is_taken(host: EnrolledHost, shell: str) -> None:
    assert host.obey(host.order(host="app1"), shell=shell).ok
    assert host.obey(host.order(instance="other", app="other", env="lab"), shell=shell).ok
    assert (host.folder / "var/bound/other").read_text().splitlines()[:2] == ["app=other", "env=lab"]


def test_an_order_that_is_refused_binds_nothing(host: EnrolledHost) -> None:
    asked = host.order(app="thief")
    assert host.ask(signed_lines(asked, host.key, "0" * 32)).code == "GP463"
    assert host.obey(host.order(), key=order_key(fresh_signer())).code == "GP461"
    assert host.obey(host.order()).ok


# How fresh an order must be


def test_a_nonce_counts_fifteen_minutes_of_uptime(host: EnrolledHost, shell: str) -> None:
    head = signed_lines(host.order(), host.key, host.given(host.order()))
    later = signed_lines(host.order(n=2), host.key, "cd" * 16)
    host.tick(900)
    assert host.ask(head, shell=shell).ok
    host.tick(1)
    said = host.ask(later, shell=shell)
    assert (said.code, said.message) == ("GP464", "the order came 901s after its nonce was given, it counts 900s")
    assert host.ask(head, shell=shell).values["repeated"] == "true", "what was done is told at any time"
    assert host.ask(later, text=without(host, '[ $((now - given)) -le "$NONCE_LIFE" ]')).ok, "control"


def test_no_clock_makes_an_old_order_young(host: EnrolledHost) -> None:
    """What decides that asks no clock that somebody may set; nobody can say a day to it."""
    part = (files("gopub.fleet.program") / "signed.sh").read_text("utf-8")
    assert "/proc/uptime" in host.text().replace(f"{host.folder}/uptime", "/proc/uptime")
    assert "uptime_ds" in part
    assert not [line for line in part.splitlines() if re.search(r"\bdate\b|%Y|%X|%Z", line)]


@pytest.mark.parametrize("change", ["of another epoch", "of another token", "of another instance", "none", "made up"])
def test_a_nonce_is_one_seat_s_of_one_instance(host: EnrolledHost, shell: str, change: str) -> None:
    given = {
        "of another epoch": host.order(epoch=4),
        "of another token": host.order(token="ef" * 16),
        "of another instance": host.order(instance="other"),
    }
    nonce = host.given(given[change]) if change in given else "" if change == "none" else "ab" * 16
    said = host.ask(signed_lines(host.order(), host.key, nonce), shell=shell)
    assert (said.ok, said.code) == (False, "GP463")
    assert host.ask(signed_lines(host.order(), host.key, host.given(host.order())), shell=shell).ok, "control"


def test_a_start_of_the_machine_ends_every_nonce(host: EnrolledHost, shell: str) -> None:
    head = signed_lines(host.order(), host.key, host.given(host.order()))
    host.reboot()
    assert host.ask(head, shell=shell).code == "GP463"
    assert host.ask(signed_lines(host.order(), host.key, host.nonce(host.order())), shell=shell).ok


def test_facts_give_the_same_nonce_for_half_its_life(host: EnrolledHost, shell: str) -> None:
    first = host.nonce(host.order(), shell=shell)
    host.tick(450)
    assert host.nonce(host.order(), shell=shell) == first
    host.tick(1)
    second = host.nonce(host.order(), shell=shell)
    assert second != first
    assert host.ask(signed_lines(host.order(), host.key, first), shell=shell).ok, "the older one still counts"
    assert host.ask(signed_lines(host.order(n=2), host.key, second), shell=shell).ok


def test_facts_that_somebody_sends_again_push_no_nonce_out(host: EnrolledHost) -> None:
    """Kept facts of older seats, and of words without a fence, more of each than are kept."""
    assert host.obey(host.order(epoch=7)).ok
    nonce = host.nonce(host.order(epoch=7, n=2))
    for n in range(8):
        assert host.nonce(host.order(epoch=n % 7 or 6, token=f"{n:032x}")) == ""
        assert host.nonce(host.order(epoch=0, token=f"{n:032x}")) != ""
    kept = (host.folder / "var/nonces/orders").read_text().splitlines()
    assert len([line for line in kept if " 0 0000" in line]) == 6
    assert host.ask(signed_lines(host.order(epoch=7, n=2), host.key, nonce)).ok


def test_many_ask_for_nonces_at_once_and_none_is_lost(host: EnrolledHost) -> None:
    orders = [host.order(epoch=9, token=f"{n:032x}") for n in range(5)]
    started = [
        subprocess.Popen(("dash", str(host.program)), stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in orders
    ]
    nonces = []
    for process, order in zip(started, orders, strict=True):
        assert process.stdin
        process.stdin.write(signed_lines(replace(order, verb="facts", n=0), host.key))
        process.stdin.close()
    for process in started:
        assert process.stdout
        nonces.append(Record.parse(process.stdout.read().decode(), host="h1").values["nonce"])
        assert process.wait() == 0
        process.stdout.close()
    kept = (host.folder / "var/nonces/orders").read_text()
    assert [nonce in kept for nonce in nonces] == [True] * 5


@pytest.mark.parametrize("verb", ["adopt", "disown"])
def test_a_word_without_a_fence_counts_once(host: EnrolledHost, shell: str, verb: Verb) -> None:
    order = replace(host.order(verb), epoch=0, n=0)
    head = signed_lines(order, host.key, host.given(order))
    assert host.ask(head, shell=shell).code != "GP463"
    assert host.ask(head, shell=shell).code == "GP463"
    under_a_seat = host.order(verb)
    assert host.ask(signed_lines(under_a_seat, host.key, ""), shell=shell).code == "GP463"


def test_a_lock_that_cannot_be_made_is_said(host: EnrolledHost, shell: str) -> None:
    """As on a disk that cannot be written any more: no order may end without a word."""
    order = host.order()
    assert host.ask(signed_lines(order, host.key, host.given(order)), shell=shell).code != "GP448"
    (lock,) = host.folder.rglob(".gopub/lock")
    lock.unlink()
    lock.mkdir()
    assert host.ask(signed_lines(order, host.key, host.given(order)), shell=shell).code == "GP448"


def test_facts_are_told_where_no_nonce_can_be_kept(host: EnrolledHost, shell: str) -> None:
    """They say what is wrong with the host; an order then does not begin."""
    (host.folder / "var/nonces").write_text("in the way")
    order = host.order()
    facts = host.ask(signed_lines(replace(order, verb="facts"), host.key), shell=shell)
    assert (facts.ok, facts.values["nonce"]) == (True, "")
    assert host.ask(signed_lines(order, host.key, ""), shell=shell).code == "GP463"
    assert host.ask(signed_lines(replace(order, verb="disown"), host.key, ""), shell=shell).code == "GP448"


# The fence, and whose it is


def test_an_old_order_is_none_any_more(host: EnrolledHost, shell: str) -> None:
    first = signed_lines(host.order(), host.key, host.given(host.order()))
    assert host.ask(first).ok
    assert host.obey(host.order(n=2)).ok
    assert host.ask(first, shell=shell).code == "GP433"
    assert host.obey(host.order(epoch=4, token="cd" * 16)).ok
    assert host.ask(first, shell=shell).code == "GP431"
    other = host.order(epoch=4, n=2)
    assert host.ask(signed_lines(other, host.key, host.given(other)), shell=shell).code == "GP432"
    same = host.order(epoch=4, token="cd" * 16, reason="another")
    assert host.obey(same, shell=shell).code == "GP435"


def test_a_journal_s_head_and_an_admission_make_no_other_order(host: EnrolledHost, shell: str) -> None:
    assert host.obey(host.order(journal="7:aa", admission={"serial": "6"}), shell=shell).ok
    again = host.obey(host.order(journal="8:bb", admission={"serial": "6", "level": "1"}), shell=shell)
    assert again.values["repeated"] == "true"
    asked = host.order(admission={"surprise": "1"})
    assert host.ask(signed_lines(asked, host.key, host.given(asked)), shell=shell).code == "GP430"


def test_the_last_epoch_is_the_last_and_starts_anew_with_another_key(host: EnrolledHost, shell: str) -> None:
    assert host.obey(host.order(epoch=LAST), shell=shell).ok
    for beyond in (LAST + 1, 10**18):
        assert host.obey(host.order(epoch=beyond, token="cd" * 16), shell=shell).code == "GP479"
    new, old = fresh_signer(), host.believe(host.signer)
    host.believe(new)
    order = host.order(token="cd" * 16)
    assert host.ask(signed_lines(order, order_key(new), host.given(order)), shell=shell).code == "GP431"
    old.unlink()
    facts = host.ask(signed_lines(replace(order, verb="facts"), order_key(new)), shell=shell)
    assert (facts.values["epoch"], facts.values["token"], facts.values["n"]) == ("0", "", "0")
    assert host.ask(signed_lines(order, host.key, host.given(order)), shell=shell).code == "GP461"
    done = host.ask(signed_lines(order, order_key(new), host.given(order)), shell=shell)
    assert (done.ok, done.epoch) == (True, 3)


def test_a_half_order_is_known_after_its_key_is_gone(host: EnrolledHost) -> None:
    """What was begun has to be finished or undone, whoever let it in."""
    assert host.obey(host.order()).ok
    record = host.folder / "opt/orders/.gopub/record"
    record.unlink()
    new = fresh_signer()
    host.believe(host.signer).unlink()
    host.believe(new)
    facts = host.ask(signed_lines(replace(host.order(), verb="facts"), order_key(new)))
    assert (facts.values["half"], facts.values["epoch"]) == ("prune:", "0")


# Enrolments that are not whole


def _no_roles(host: EnrolledHost) -> None:
    (host.folder / "etc/roles").unlink()


def _no_host_file(host: EnrolledHost) -> None:
    (host.folder / "etc/host").unlink()


def _no_keys(host: EnrolledHost) -> None:
    (host.folder / "etc/keys/controller").rename(host.folder / "etc/gone")


def _a_folder(host: EnrolledHost) -> None:
    key = host.believe(host.signer)
    key.unlink()
    key.mkdir()


BROKEN: dict[str, tuple[str, Callable[[EnrolledHost], None]]] = {
    "no host file": ("GP477", _no_host_file),
    "an empty host file": ("GP477", lambda host: (host.folder / "etc/host").write_text("") and None),
    "no names": ("GP477", lambda host: host.enroll(names="")),
    "no envs": ("GP477", lambda host: host.enroll(envs="")),
    "no machine": ("GP477", lambda host: host.enroll(machine_id="")),
    "a copy of another machine": ("GP477", lambda host: host.enroll(machine_id="0" * 32)),
    "no list of roles": ("GP477", _no_roles),
    "no keys": ("GP477", _no_keys),
    "a key that is none": ("GP462", lambda host: host.believe(host.signer).write_text("x") and None),
    "a folder for a key": ("GP461", _a_folder),
}


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.replace(" ", "-"))
def test_half_an_enrolment_obeys_nobody(host: EnrolledHost, shell: str, case: str) -> None:
    code, breaks = BROKEN[case]
    head = signed_lines(host.order(), host.key, host.given(host.order()))
    facts = signed_lines(host.order("facts"), host.key)
    breaks(host)
    for sent in (head, facts):
        said = host.ask(sent, shell=shell)
        assert (said.ok, said.code) == (False, code), said
    assert not (host.folder / "opt/orders").exists()


# Jobs


def job_of(host: EnrolledHost, shell: str, order: Order) -> tuple[Record, list[list[str]]]:
    """Carry out an order as a job, with a systemd that runs at once what it is told; and the words that it was told."""
    bin_ = host.folder / "bin"
    bin_.mkdir(exist_ok=True)
    words = host.folder / "words"
    run = f"""#!/bin/sh
printf '%s\\n' "$@" --- >>{words}
while [ "$1" != -- ]; do shift; done
shift
shift
exec {" ".join(SHELLS[shell])} "$@"
"""
    for name, text in {"systemd-run": run, "systemctl": "#!/bin/sh\necho ActiveState=inactive\n"}.items():
        (bin_ / name).write_text(text)
        (bin_ / name).chmod(0o755)
    text = without(host, "    admit_order\n", "").replace("PATH=/usr/sbin", f"PATH={bin_}:/usr/sbin")
    host.program.write_text(text)
    said = host.ask(signed_lines(order, host.key, host.given(order)), shell=shell)
    return said, [one.split() for one in words.read_text().split("---\n") if one]


def test_a_job_is_the_installed_program_and_the_verified_order(host: EnrolledHost, shell: str) -> None:
    """Neither the order nor a word of it is on the job's command line but its verb, and nothing stays."""
    order = host.order("switch", release="a" * 64, render="b" * 64, digests={"binary": "1" * 64})
    said, jobs = job_of(host, shell, order)
    assert (said.code, said.n, said.verb) == ("GP439", 1, "switch"), said
    assert len(jobs) == 1
    assert jobs[0][-6:-4] == ["--", "/bin/sh"]
    assert jobs[0][-3] == "switch"
    assert "a" * 12 not in " ".join(jobs[0]).replace(str(host.folder), "")
    assert list((host.folder / "opt/orders/.gopub/jobs").iterdir()) == []
    again, _ = job_of(host, shell, order)
    assert again.values["repeated"] == "true"
    assert f"key={host.key.fingerprint}\n" in (host.folder / "opt/orders/.gopub/state").read_text()


def test_a_job_checks_what_may_have_changed_while_it_waited(host: EnrolledHost, shell: str) -> None:
    """The key is revoked between the order and its job."""
    key = host.believe(host.signer)
    order = host.order("stop")
    host.given(order)
    original = host.text
    cut = original().replace("    job=gopub-", f"    rm -f {key}\n    job=gopub-", 1)
    host.text = lambda: cut  # type: ignore[method-assign]
    said, _ = job_of(host, shell, order)
    assert said.code == "GP461"
    assert not (host.folder / "opt/orders/.gopub/state").exists()


def test_the_machine_s_own_id_is_asked(host: EnrolledHost) -> None:
    assert host.order().machine_id == MACHINE_ID
    assert host.order().token == TOKEN
