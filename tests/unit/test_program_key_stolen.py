"""What a thief of the controller's key did is over with the key: nothing of it binds whoever comes after."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.enrolled import SHELLS, EnrolledHost, fresh_signer, order_key


@pytest.mark.parametrize("shell", SHELLS)
def test_an_instance_that_the_thief_bound_is_its_owners_once_the_key_is_gone(tmp_path: Path, shell: str) -> None:
    host = EnrolledHost(tmp_path / "h")
    assert host.obey(host.order(app="evil", env="lab", epoch=999_999_999_999_999), shell=shell).ok
    rightful = host.order(epoch=4)
    assert host.obey(rightful, shell=shell).code == "GP466"
    other = fresh_signer()
    host.believe(other)
    assert host.obey(rightful, shell=shell, key=order_key(other)).code == "GP466", "control: both keys count"
    host.believe(host.signer).unlink()
    assert host.obey(rightful, shell=shell, key=order_key(other)).ok
    assert host.obey(host.order(app="evil", env="lab", epoch=5), shell=shell, key=order_key(other)).code == "GP466"
