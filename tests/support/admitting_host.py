"""A host's memory of admissions in a folder, asked as the enrolled program asks it, by a shell of choice."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from gopub.evidence.keys import KeySigner, PublicKey
from gopub.evidence.summary import Summary, sign_summary
from gopub.fleet.orders import Verb

PROGRAM = Path(__file__).parents[2] / "gopub/fleet/program"
PARTS = ("base", "order", "facts", "mode_side", "signed", "admission")
SHELLS = (("dash",), ("busybox", "sh"))
RELEASE, RENDER, ARCHIVE, BINARY = "1" * 64, "a" * 64, "2" * 64, "3" * 64
FOLDER = f"{RELEASE[:12]}-{RENDER[:12]}"
HARNESS = """
paths
read_current
admit_order
value dir "$dir"
value binary "$o_digest_binary"
finish true '' 'let in'
"""
GOOD = Summary(
    app="orders",
    env="prod",
    target="linux/amd64",
    release=RELEASE,
    archive=ARCHIVE,
    binary=BINARY,
    policy="4" * 64,
    verified="2026-11-30T12:00:00Z",
    expires="2026-12-30T12:00:00Z",
    level="SLSA_BUILD_LEVEL_2",
    serial=84,
)

NAMES = (*(line.partition("=")[0] for line in GOOD.lines.splitlines()), "key", "signature")


def carried(signer: KeySigner, summary: Summary = GOOD) -> Mapping[str, str]:
    """An admission as an order carries it."""
    return sign_summary(signer, summary).carried(signer.public.fingerprint)


@dataclass(frozen=True)
class Asked:
    """An order: its verb and epoch, of what, by which controller's key, and the admission that it carries."""

    verb: Verb = "switch"
    epoch: int | str = 42
    admission: Mapping[str, str] = field(default_factory=dict)
    app: str = "orders"
    env: str = "prod"
    release: str = RELEASE
    render: str = RENDER
    archive: str = ""
    binary: str = BINARY
    by: str = "c" * 64
    instance: str = "orders"

    def but(self, **changes: object) -> Asked:
        """The same but for that."""
        return replace(self, **changes)  # type: ignore[arg-type]

    @property
    def settings(self) -> dict[str, str]:
        """The variables of the program that an order sets."""
        of = {f"o_admission_{name}": text for name, text in self.admission.items()}
        return of | {
            "o_verb": self.verb, "o_epoch": str(self.epoch), "o_app": self.app, "o_env": self.env,
            "o_instance": self.instance, "o_release": self.release, "o_render": self.render,
            "o_digest_archive": self.archive, "o_digest_binary": self.binary, "signer_key": self.by,
        }  # fmt: skip


@dataclass(frozen=True)
class Said:
    """What came of it."""

    code: str
    message: str
    values: Mapping[str, str]


@dataclass
class AdmittingHost:
    """Its folder stands for the root of the file system."""

    root: Path
    shell: Sequence[str] = SHELLS[0]
    parts: Sequence[str] = PARTS
    without: str = ""
    """A line of the program that is taken away, for a control."""

    def __post_init__(self) -> None:
        """As enrolment leaves it."""
        for folder in ("etc/gopub/keys/admission", "etc/gopub/keys/controller", "var/lib/gopub", "run", "opt"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        self.believe("controller", "c" * 64, b"")

    def believe(self, role: str, key: str | PublicKey, pem: bytes = b"") -> None:
        """Lay a key out as the root's list says."""
        name, data = (key.fingerprint, key.pem) if isinstance(key, PublicKey) else (key, pem)
        (self.root / f"etc/gopub/keys/{role}/{name}.pem").write_bytes(data)

    def revoke(self, role: str, key: str) -> None:
        """As a new list does."""
        (self.root / f"etc/gopub/keys/{role}/{key}.pem").unlink()

    def stage(self, folder: str = FOLDER, binary: str = BINARY, instance: str = "orders") -> None:
        """Put a release's folder there, as staging leaves it."""
        place = self.root / f"opt/{instance}/releases/{folder}"
        place.mkdir(parents=True)
        (place / ".gopub-manifest").write_text(f"release={folder[:12]}\nrender={folder[13:]}\nbinary={binary}\n")

    def ran(self, instance: str = "orders") -> set[str]:
        """What may be gone back to."""
        file = self.root / f"var/lib/gopub/ran/{instance}"
        return set(file.read_text().splitlines()) if file.exists() else set()

    def enrolled_with(self, *pairs: str, instance: str = "orders") -> None:
        """What was there at enrolment."""
        file = self.root / f"var/lib/gopub/ran/{instance}"
        file.parent.mkdir(mode=0o700, exist_ok=True)
        file.write_text("".join(f"{pair}\n" for pair in pairs))

    @property
    def memory(self) -> dict[str, str]:
        """Every file of it, to see that nothing changed."""
        files = [path for path in sorted((self.root / "var").rglob("*")) if path.is_file()]
        return {path.relative_to(self.root).as_posix(): path.read_text() for path in files}

    def ask(self, asked: Asked) -> Said:
        """Whether it is let in."""
        return self.run(asked.settings, HARNESS)

    def run(self, settings: Mapping[str, str], harness: str) -> Said:
        """Run the parts with these variables, and then that."""
        text = "\n".join((PROGRAM / f"{part}.sh").read_text() for part in self.parts)
        text = text.replace("/opt/", f"{self.root}/opt/")
        if self.without:
            assert self.without in text, "a control that takes nothing away shows nothing"
            text = text.replace(self.without, ":")
        places = {"ETC": "etc/gopub", "KEPT": "var/lib/gopub", "RUN": "run"}
        unset = dict.fromkeys((f"o_admission_{name}" for name in NAMES), "")
        settings = {**unset, **settings, **{name: f"{self.root}/{place}" for name, place in places.items()}}
        settings |= {"inbox": f"{self.root}/run/order", "beside": f"{self.root}/run/order."}
        told = "".join(f"{name}={shlex.quote(value)}\n" for name, value in settings.items())
        done = subprocess.run(
            (*self.shell, "-c", f"{text}\nkernel_says() {{ machine=x86_64; }}\n{told}{harness}"),
            capture_output=True, text=True, check=False, cwd=self.root,
        )  # fmt: skip
        assert done.stderr == "", done.stderr
        pairs = dict(line.split("=", 1) for line in done.stdout.splitlines())
        assert (pairs["ok"] == "true", pairs["code"] == "") == (done.returncode == 0, done.returncode == 0)
        assert not list((self.root / "run").iterdir()), "nothing is left behind"
        values = {name[6:]: text for name, text in pairs.items() if name.startswith("value.")}
        return Said(pairs["code"], pairs["message"], values)
