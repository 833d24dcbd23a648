"""An enrolled host in a folder: the installed program with its paths there, keys, and a real shell that runs it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from gopub.evidence.keys import KeySigner
from gopub.fleet import program
from gopub.fleet.orders import Order, Record, Verb
from gopub.fleet.signed import OrderKey, signed_lines

MACHINE_ID = Path("/etc/machine-id").read_text().strip()
SHELLS = {"dash": ("dash",), "busybox": ("busybox", "sh")}
TOKEN = "ab" * 16


def fresh_signer() -> KeySigner:
    """A key pair that nobody has yet."""
    return KeySigner(ec.generate_private_key(ec.SECP256R1()))


def order_key(signer: KeySigner) -> OrderKey:
    """As the wiring makes one."""
    return OrderKey(signer.public.fingerprint, signer.sign)


@dataclass
class EnrolledHost:
    """Its files lie below ``folder``; ``signer`` is the controller that it believes."""

    folder: Path
    signer: KeySigner = field(default_factory=fresh_signer)
    admission: KeySigner = field(default_factory=fresh_signer)
    """Who admits, where a test lays it (``believe``)."""
    names: str = "h1 app1"
    envs: str = "prod lab"

    def __post_init__(self) -> None:
        """Lay everything as an enrolment does."""
        for place in ("etc/keys/controller", "var", "opt", "systemd"):
            (self.folder / place).mkdir(parents=True)
        (self.folder / "uptime").write_text("1000.00 1.00\n")
        (self.folder / "boot_id").write_text("0f0e0d0c-0000-4000-8000-000000000001\n")
        self.enroll()
        (self.folder / "etc/roles").write_text("serial=3\nexpires=2027-11-30T12:00:00Z\n")
        self.believe(self.signer)
        self.program.write_text(self.text())
        self.program.chmod(0o755)

    @property
    def program(self) -> Path:
        """Where the installed program lies."""
        return self.folder / "order"

    @property
    def key(self) -> OrderKey:
        """What signs orders for it."""
        return order_key(self.signer)

    def enroll(self, **over: str) -> None:
        """Write /etc/gopub/host; an empty value leaves a line out."""
        said = {"names": self.names, "envs": self.envs, "machine_id": MACHINE_ID, "gopub": "1", **over}
        (self.folder / "etc/host").write_text("".join(f"{key}={text}\n" for key, text in said.items() if text))

    def believe(self, signer: KeySigner, role: str = "controller") -> Path:
        """Lay a public key as the list of roles has it."""
        folder = self.folder / "etc/keys" / role
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{signer.public.fingerprint}.pem").write_bytes(signer.public.pem)
        return folder / f"{signer.public.fingerprint}.pem"

    def text(self) -> str:
        """The program, with its paths below the folder; what needs root or systemd is left to the lab."""
        return self.here(program.enrolled())

    def plain(self) -> str:
        """The program that is sent to a host that is not enrolled, in the same folder."""
        return self.here(program.text())

    def here(self, text: str) -> str:
        """A program with its paths below the folder."""
        for there, here in {
            "ETC=/etc/gopub": f"ETC={self.folder}/etc",
            "KEPT=/var/lib/gopub": f"KEPT={self.folder}/var",
            "RUN=/run/gopub-orders": f"RUN={self.folder}/run",
            "PROGRAM=/usr/local/lib/gopub/order": f"PROGRAM={self.program}",
            "home=/opt/": f"home={self.folder}/opt/",
            "/proc/uptime": f"{self.folder}/uptime",
            "/proc/sys/kernel/random/boot_id": f"{self.folder}/boot_id",
            "    needs_root\n": "",
            "unit_file=/etc/systemd/system/": f"unit_file={self.folder}/systemd/",
        }.items():
            assert there in program.enrolled(), there
            text = text.replace(there, here)
        return text

    def tick(self, seconds: int) -> None:
        """Let the host run for so long."""
        now = float((self.folder / "uptime").read_text().split()[0])
        (self.folder / "uptime").write_text(f"{now + seconds:.2f} 1.00\n")

    def reboot(self) -> None:
        """Start it anew."""
        (self.folder / "boot_id").write_text("0f0e0d0c-0000-4000-8000-000000000002\n")
        (self.folder / "uptime").write_text("20.00 1.00\n")

    def say(self, sent: bytes, *, shell: str = "dash", text: str = "") -> subprocess.CompletedProcess[bytes]:
        """Give the program these bytes; ``text`` stands in for it (a control that takes a check away)."""
        file = self.program
        if text:
            file = self.folder / "other"
            file.write_text(text)
        return subprocess.run((*SHELLS[shell], str(file)), input=sent, capture_output=True, check=False, timeout=60)

    def ask(self, sent: bytes, *, shell: str = "dash", text: str = "", verb: Verb = "prune") -> Record:
        """The same, and its record."""
        ran = self.say(sent, shell=shell, text=text)
        assert not ran.stderr, ran.stderr
        return Record.parse(ran.stdout.decode(), host="h1", verb=verb)

    def order(self, verb: Verb = "prune", **over: object) -> Order:
        """An order that this host takes."""
        plain = Order(verb, "h1", MACHINE_ID, "orders", "orders", "prod", epoch=3, token=TOKEN, n=1)
        return replace(plain, **over)  # type: ignore[arg-type]

    def nonce(self, order: Order, *, shell: str = "dash") -> str:
        """One of the host's for the order's epoch and token; empty where it gives none."""
        facts = replace(order, verb="facts", n=0)
        return self.ask(signed_lines(facts, self.key), shell=shell).values.get("nonce", "")

    def given(self, order: Order, nonce: str = "cd" * 16) -> str:
        """A nonce as this host gives them, without asking: facts take their time."""
        (self.folder / "var/nonces").mkdir(exist_ok=True)
        uptime = (self.folder / "uptime").read_text().split()[0].replace(".", "")[:-1]
        boot = (self.folder / "boot_id").read_text().strip()
        with (self.folder / "var/nonces" / order.instance).open("a") as kept:
            kept.write(f"{nonce} {order.epoch} {order.token} {boot} {uptime}\n")
        return nonce

    def obey(self, order: Order, payload: bytes = b"", *, shell: str = "dash", key: OrderKey | None = None) -> Record:
        """With a nonce: sign, send."""
        head = signed_lines(order, key or self.key, self.given(order))
        return self.ask(head + payload, shell=shell, verb=order.verb)
