"""Pruning on a host, as the shell does it: what runs and what gopub did not make stays, whatever the order names."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

PROGRAM = Path(__file__).parents[2] / "gopub/fleet/program"
HARNESS = """
releases=$PWD/opt/releases state=$PWD/opt/.gopub accepted=
current=$1 o_arg_remove=$2
do_prune
"""


def release(home: Path, letter: str, *, says: str = "") -> str:
    """A folder as this program makes them; ``says`` is another release that its manifest names."""
    name = f"{letter * 12}-{'0' * 12}"
    place = home / "releases" / name
    (place / "bin").mkdir(parents=True)
    (place / ".gopub-manifest").write_text(f"release={(says or letter) * 64}\nrender={'0' * 64}\napp=hello\n")
    return name


def prune(folder: Path, current: str, *names: str, without: str = "", mounts: str = "") -> dict[str, str]:
    """Order it; gives the values of the record. Under ``mounts`` something is mounted, as the kernel lists it."""
    (folder / "opt/.gopub/jobs").mkdir(parents=True, exist_ok=True)
    parts = ("base", "order", "facts", "stage", "switch", "mode_side", "before")
    text = "".join((PROGRAM / f"{part}.sh").read_text() for part in parts)
    if without:
        assert without in text
        text = text.replace(without, "true")
    if mounts:
        (folder / "opt/mounts").write_text(f"36 35 98:0 / {mounts} rw,noatime shared:1 - ext4 /dev/sda1 rw\n")
        text = text.replace("/proc/self/mountinfo", f"{folder}/opt/mounts")
    shell = shutil.which("dash") or "/bin/sh"
    ran = subprocess.run(
        (shell, "-c", text + HARNESS, "gopub", current, " ".join(names)),
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert not ran.stderr, ran.stderr
    return dict(line.partition("=")[::2] for line in ran.stdout.splitlines())


def there(folder: Path) -> set[str]:
    return {path.name for path in (folder / "opt/releases").iterdir()}


def test_what_the_order_names_goes_and_what_runs_stays(tmp_path: Path) -> None:
    one, two, three = (release(tmp_path / "opt", letter) for letter in "abc")
    said = prune(tmp_path, one, one, two)
    assert there(tmp_path) == {one, three}
    assert (said["ok"], said["changed"], said["value.removed"]) == ("true", "true", two)
    assert set(said["value.kept"].split()) == {one, three}
    again = prune(tmp_path, one, one, two)
    assert (again["ok"], again["changed"], again["value.removed"]) == ("true", "false", "")


def test_what_a_killed_push_left_goes_and_is_counted_as_nothing(tmp_path: Path) -> None:
    one = release(tmp_path / "opt", "a")
    for name in (".new-4711/tree/bin", ".altered-12", f".pruned-{'b' * 12}-{'0' * 12}"):
        (tmp_path / "opt/releases" / name).mkdir(parents=True)
    said = prune(tmp_path, one)
    assert (there(tmp_path), said["value.kept"]) == ({one}, one)


def test_a_folder_of_somebody_else_is_neither_counted_nor_touched(tmp_path: Path) -> None:
    home = tmp_path / "opt"
    one, lies = release(home, "a"), release(home, "b", says="c")
    outside = tmp_path / "outside"
    made = release(outside, "d")
    link = home / "releases" / made
    link.symlink_to(outside / "releases" / made)
    bare = home / "releases" / f"{'e' * 12}-{'0' * 12}"
    bare.mkdir()
    others = {"20240101120000", "backup", ".keep", ".new-by-hand", f"{'F' * 12}-{'0' * 12}"}
    for name in others:
        (home / "releases" / name).mkdir()
    said = prune(tmp_path, one, lies, made, bare.name)
    assert (said["value.removed"], said["value.kept"]) == ("", one)
    assert there(tmp_path) == {one, lies, made, bare.name, *others}
    assert (outside / "releases" / made / ".gopub-manifest").exists()


def test_without_the_look_at_whose_it_is_a_lying_manifest_costs_a_folder(tmp_path: Path) -> None:
    """The control: it is the check of the manifest that keeps it."""
    one, lies = release(tmp_path / "opt", "a"), release(tmp_path / "opt", "b", says="c")
    said = prune(tmp_path, one, lies, without='[ "$of-$short" = "$1" ]')
    assert said["value.removed"] == lies


def test_a_folder_whose_program_still_runs_stays(tmp_path: Path) -> None:
    home = tmp_path / "opt"
    one, old, idle = (release(home, letter) for letter in "abc")
    shutil.copy(shutil.which("sleep") or "/bin/sleep", home / "releases" / old / "bin/hello")
    with subprocess.Popen((str(home / "releases" / old / "bin/hello"), "60")) as running:
        said = prune(tmp_path, one, old, idle)
        running.terminate()
    assert (said["value.removed"], said["value.in_use"]) == (idle, old)
    assert prune(tmp_path, one, old)["value.removed"] == old


def test_one_in_which_a_process_stands_stays_too_where_opt_is_a_link(tmp_path: Path) -> None:
    (tmp_path / "srv").mkdir()
    (tmp_path / "opt").symlink_to("srv")
    one, old = release(tmp_path / "srv", "a"), release(tmp_path / "srv", "b")
    with subprocess.Popen(("sleep", "60"), cwd=tmp_path / "srv/releases" / old) as running:
        said = prune(tmp_path, one, old)
        running.terminate()
    assert (said["value.removed"], said["value.in_use"]) == ("", old)


def test_a_folder_in_which_something_is_mounted_stays_whole(tmp_path: Path) -> None:
    """What is removed there would be the files of whoever mounted it."""
    home = tmp_path / "opt"
    one, old, idle = (release(home, letter) for letter in "abc")
    (home / "releases" / old / "data").mkdir()
    (home / "releases" / old / "data/precious").touch()
    said = prune(tmp_path, one, old, idle, mounts=f"{home}/releases/{old}/data")
    assert (said["ok"], said["value.removed"], said["value.in_use"]) == ("true", idle, old)
    assert (home / "releases" / old / "data/precious").exists()
    said = prune(tmp_path, one, old, mounts=f"{home}/releases/{old}-2/data")
    assert said["value.removed"] == old, "control: a mount elsewhere is none of it"


def test_what_cannot_be_removed_is_named_and_keeps_nothing_else_back(tmp_path: Path) -> None:
    home = tmp_path / "opt"
    one, old, idle = (release(home, letter) for letter in "abc")
    left = home / "releases" / f".pruned-{old}"
    (left / "data").mkdir(parents=True)
    said = prune(tmp_path, one, old, idle, mounts=f"{left}/data")
    assert (said["ok"], said["code"], said["changed"]) == ("false", "GP448", "true")
    assert said["message"] == f"cannot remove from {home}/releases: {old} .pruned-{old}"
    assert said["value.removed"] == idle
    assert there(tmp_path) == {one, old, left.name}
    assert prune(tmp_path, one, old)["value.removed"] == old, "control: unmounted, both go"
    assert there(tmp_path) == {one}


def test_names_that_are_none_of_a_release_are_refused(tmp_path: Path) -> None:
    one = release(tmp_path / "opt", "a")
    for bad in ("*", "../..", "/etc", "$(touch x)", "..", "a;b"):
        said = prune(tmp_path, one, bad)
        assert (said["ok"], said["code"]) == ("false", "GP430"), bad
    assert [path.name for path in tmp_path.iterdir()] == ["opt"]
