"""A real TLS server on loopback, and an authority of the tests' own that signs its certificate."""

from __future__ import annotations

import ipaddress
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

NOTHING = json.dumps({"status": "success", "data": {"resultType": "vector", "result": []}}).encode()
HERE = "127.0.0.1"
Answer = tuple[int, dict[str, str], bytes]


@dataclass(frozen=True)
class Authority:
    """A certificate authority in a folder; ``ca`` is its certificate."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def new(cls, folder: Path, name: str = "ca") -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        own = _builder(name, name, timedelta(days=-2), timedelta(days=2))
        own = own.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        made = own.public_key(key.public_key()).add_extension(usage, critical=True).sign(key, SHA256())
        (folder / f"{name}.pem").write_bytes(made.public_bytes(Encoding.PEM))
        return cls(folder, key, made)

    @property
    def ca(self) -> Path:
        return self.folder / f"{_name(self.certificate)}.pem"

    def sign(self, *names: str, since: int = -1, until: int = 1) -> tuple[Path, Path]:
        """Certificate and key of a server with these names, valid from one day to another (of today)."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = _builder("server", _name(self.certificate), timedelta(days=since), timedelta(days=until))
        made = made.add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
        made = made.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
        )
        signed = made.public_key(key.public_key()).sign(self.key, SHA256())
        paths = self.folder / "server.crt", self.folder / "server.key"
        paths[0].write_bytes(signed.public_bytes(Encoding.PEM))
        paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return paths


@dataclass
class Server:
    """Where it listens, and the headers of each request that it answered."""

    port: int
    asked: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def serving(
    files: tuple[Path, Path] | None, answer: Callable[[str, dict[str, str]], Answer] | None = None
) -> Iterator[Server]:
    """Answer on a free port, over TLS with a certificate and its key, without them in plain HTTP."""
    found = Server(0)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers = {name.lower(): text for name, text in self.headers.items()}
            found.asked.append(headers)
            status, more, body = answer(self.path, headers) if answer else (200, {}, NOTHING)
            self.send_response(status)
            for name, text in {"Content-Length": str(len(body)), **more}.items():
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass

    with Quiet((HERE, 0), Handler) as server:
        if files:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*files)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        found.port = server.server_port
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield found
        server.shutdown()


def _builder(subject: str, issuer: str, since: timedelta, until: timedelta) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + since)
        .not_valid_after(now + until)
    )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _name(certificate: x509.Certificate) -> str:
    return str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
