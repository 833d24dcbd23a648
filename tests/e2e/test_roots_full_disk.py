"""A list of roles that comes to a host whose disk is full, on a real file system: the one known before goes on."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gopub.evidence.roles import sign_roles
from tests.support.rooted import ALICE, BOB, NEW, OLD, SHELLS, RootedHost, roles

SECOND = sign_roles(roles(4, (OLD, NEW)), ALICE, BOB)
NEEDED = 3
"""Pages: the key that is new, the list, and the list that is meant."""
FULL = """
set -e
mount -t tmpfs -o size=256k none "$2/full"
cp -a "$2/etc/." "$2/full"
mount --bind "$2/full" "$2/etc"
head -c 1M /dev/zero >"$2/etc/fill" 2>/dev/null || truncate -s "-$(($1 * 4096))" "$2/etc/fill"
set +e
tell() { $3 "$2/lib/order" <"$2/word"; $3 "$2/lib/order" <"$2/asked"; }
tell "$@"
find "$2/etc" -name '*.next*' -o -name '*.part'
rm "$2/etc/fill"
tell "$@"
"""
STANDS = ["ok=true", "code=", "value.roles=4"]


def told(host: RootedHost, pages: int) -> list[str]:
    """What it says to the list and to who asks which one counts, what is left lying, and the same with room."""
    (host.place / "full").mkdir()
    said = SECOND.text.encode()
    (host.place / "word").write_bytes(b"gopub-root=1 roles %d\n" % len(said) + said)
    (host.place / "asked").write_bytes(b"gopub-root=1 ask 0\n")
    argv = ("unshare", "--mount", "sh", "-c", FULL, "sh", str(pages), host.place, " ".join(host.shell))
    ran = subprocess.run(argv, capture_output=True, check=False, text=True, timeout=60)
    assert not ran.stderr, ran.stderr
    return [line for line in ran.stdout.splitlines() if line.startswith(("ok=", "code=", "value.roles=", "/"))]


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
@pytest.mark.parametrize("pages", range(NEEDED + 1))
def test_the_list_before_goes_on_where_the_new_one_has_no_room(
    tmp_path: Path, pages: int, shell: tuple[str, ...]
) -> None:
    lines = told(RootedHost.enrolled(tmp_path / "host", shell), pages)
    if pages < NEEDED:
        assert lines[:5] == ["ok=false", "code=GP421", "ok=true", "code=", "value.roles=3"]
    else:
        assert lines[:6] == [*STANDS, *STANDS]
    assert lines[-6:] == [*STANDS, *STANDS], "with room the same list is laid"
    assert not [line for line in lines if line.startswith("/")], "nothing is left lying"


def test_control_a_list_that_is_meant_before_it_is_written_keeps_everybody_out(tmp_path: Path) -> None:
    host = RootedHost.enrolled(tmp_path / "host")
    text = host.program.read_text()
    assert text.count("    write_list || {") == 1
    host.program.write_text(text.replace("    write_list || {", '    beside "$work/list" "$ETC/roles.next" || {'))
    lines = told(host, 1)
    assert lines[:4] == ["ok=false", "code=GP421", "ok=false", "code=GP477"]
