"""What a service says that it holds is read as it writes it; whoever cannot read it does not find that it holds it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from gopub.fleet import program

SUM = "ab" * 32
OLD, NEW = "a" * 12 + "-" + "0" * 12, "b" * 12 + "-" + "0" * 12


@pytest.fixture
def releases(tmp_path: Path) -> Path:
    for name in (OLD, NEW):
        folder = tmp_path / name
        folder.mkdir()
        (folder / ".gopub-manifest").write_text("release=1\nreload=config.yaml\n")
        (folder / ".gopub-sums").write_text(f"{SUM}  ./config.yaml\n{SUM}  ./{name}\n")
        (folder / ".gopub-confirm").write_text("says\n")
    return tmp_path


def told(releases: Path, script: str) -> str:
    """What the program's own functions say, with the releases in this folder and the process holding ``SUM``."""
    text = program.text().rpartition('main "$@"')[0]
    text += f"\nreleases={releases} m_reload=config.yaml current={OLD}\nask_words() {{ echo {SUM}; }}\n{script}\n"
    return subprocess.run(["sh", "-c", text], capture_output=True, text=True, check=False).stdout


def test_a_machine_whose_awk_fails_confirms_nothing(releases: Path) -> None:
    asks = f'ask_held {NEW}; echo "lacking=$lacking"'
    assert told(releases, f"awk() {{ return 1; }}; {asks}") == "lacking=unread\n"
    assert told(releases, asks) == "lacking=\n", "control: it holds the file"


def test_two_releases_of_which_nothing_can_be_read_are_not_the_same(releases: Path) -> None:
    same = f'kept=$(kept_files {NEW}); [ -n "$kept" ] && [ "$(kept_files {OLD})" = "$kept" ] && echo same'
    assert told(releases, f"sort() {{ return 1; }}; {same}") == ""
    (releases / NEW / ".gopub-sums").write_text((releases / OLD / ".gopub-sums").read_text())
    assert told(releases, same) == "same\n", "control: their files are the same"
    known = f"is_loose() {{ :; }}; exe_facts() {{ exe_digest=; }}; running() {{ running={OLD}; }}"
    asks = f"u_active=active u_reload=no; {known}"
    asks = f"{asks}; takes_in {NEW} && echo takes; m_binary="
    assert told(releases, f"m_binary=; {asks}") == "takes\n", "control"
    assert told(releases, f"m_binary=; sort() {{ return 1; }}; {asks}") == ""


@pytest.mark.parametrize(
    "says",
    [
        json.dumps({"sha256": SUM}),
        json.dumps({"sha256": SUM}, separators=(",", ":")),
        json.dumps({"files": [{"path": "config.yaml", "sha256": SUM.upper()}]}, indent=2),
        f'{{\n  "sha256" : "{SUM}"\n}}',  # as Jackson writes it
        f"config.yaml {SUM}",
        f"config.yaml {SUM.upper()}",  # as .NET writes it
    ],
)
def test_a_digest_counts_in_any_spelling_of_json_and_hex(releases: Path, says: str) -> None:
    said = f"ask_words() {{ cat <<'END'\n{says}\nEND\n}}"
    assert told(releases, f'{said}\nask_held {NEW}; echo "lacking=$lacking"') == "lacking=\n"


@pytest.mark.parametrize(
    "says",
    [
        json.dumps({"attempted_sha256": SUM, "sha256": "cd" * 32}),
        f"sum{SUM}0",
        SUM[:-1],
        f'{{"sha256": ["{SUM}"]}}',
        "",
    ],
)
def test_what_is_no_such_digest_does_not_count(releases: Path, says: str) -> None:
    said = f"ask_words() {{ cat <<'END'\n{says}\nEND\n}}"
    assert told(releases, f'{said}\nask_held {NEW}; echo "lacking=$lacking"') == f"lacking={SUM}\n"


def test_a_refusal_is_heard_in_any_spelling_of_json(releases: Path) -> None:
    tried = f'"last_reload_successful" : false, "attempted_sha256" : "{SUM}", "last_error" : "no port"'
    says = f'{{"sha256" : "{"cd" * 32}",\n {tried}}}'
    said = f"ask_words() {{ cat <<'END'\n{says}\nEND\n}}"
    asked = told(releases, f'{said}\nask_held {NEW}; refuses && echo "$bad $why"')
    assert asked == "GP556 no port\n"
