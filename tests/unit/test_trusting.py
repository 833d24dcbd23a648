"""`gopub check` says it where `trust` believes the whole internet: then whoever asks chooses who he is."""

from __future__ import annotations

import pytest

from gopub.spec.trusting import too_wide


@pytest.mark.parametrize(("trust", "named"), [
    (["0.0.0.0/0"], "0.0.0.0/0"),
    (["::/0"], "::/0"),
    (["0.0.0.0/1", "128.0.0.0/1"], "0.0.0.0/0"),
    (["128.0.0.0/2", "10.0.0.0/8", "192.0.0.0/2", "0.0.0.0/1"], "0.0.0.0/0"),
    (["::/0", "0.0.0.0/0"], "0.0.0.0/0 and ::/0"),
    (["2000::/3"], "2000::/3"),
    (["0.0.0.0/2"], "0.0.0.0/2"),
])  # fmt: skip
def test_the_whole_internet_is_told_in_one_sentence(trust: list[str], named: str) -> None:
    assert too_wide(trust).startswith(f"traffic.trust believes {named}: anyone there may choose X-Forwarded-For")
    assert "\n" not in too_wide(trust)


@pytest.mark.parametrize("trust", [
    [], ["10.0.0.0/8"], ["192.0.2.7"], ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fd00::/8", "fc00::/7"],
    ["2001:db8::/32", "198.51.100.0/24", "203.0.113.0/25", "203.0.113.128/25"],
])  # fmt: skip
def test_networks_of_ones_own_are_no_warning(trust: list[str]) -> None:
    assert too_wide(trust) == ""
