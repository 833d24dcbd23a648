"""The issuer of a stack: tokens with the claims of a GitLab job, and what Fulcio asks to check them. Pure.

Tokens are minted by whoever can read the issuer's key, which is the stack's owner; the server hands none out.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from gopub.canon import Json
from gopub.errors import UsageError

GITLAB = "gitlab.test"
"""The GitLab whose jobs the tokens speak of; nothing of that name is ever asked."""
AUDIENCE = "sigstore"
DISCOVERY, KEYS = "/.well-known/openid-configuration", "/keys"
_HEADS, _TAGS = "refs/heads/", "refs/tags/"


def discovery(issuer: str) -> dict[str, Json]:
    """Who the issuer is and where its keys are."""
    return {
        "issuer": issuer,
        "jwks_uri": issuer + KEYS,
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }


def keys(key: rsa.RSAPublicKey) -> dict[str, Json]:
    """The issuer's keys, of which there is one."""
    numbers = key.public_numbers()
    pair = {"n": _number(numbers.n), "e": _number(numbers.e)}
    return {"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": _name(key), **pair}]}


def claims(project: str, ref: str, *, sha: str = "") -> dict[str, Json]:
    """What GitLab says of a job that runs for a ref of a project.

    Args:
        project: its path, such as ``trade/orders``.
        ref: a whole ref, such as ``refs/tags/v1``.
        sha: the commit; one that belongs to project and ref where none is given.

    Raises:
        UsageError: GP814 it is no path of a project, or no branch or tag.
    """
    owner, _, name = project.rpartition("/")
    kind, short = ("tag", ref.removeprefix(_TAGS)) if ref.startswith(_TAGS) else ("branch", ref.removeprefix(_HEADS))
    if not (owner and name) or any(c.isspace() for c in project + ref):
        raise UsageError("GP814", f"{project!r} is no path of a project", hint="write it as group/project")
    if not short or short == ref:
        raise UsageError(
            "GP814", f"{ref!r} is no branch and no tag", hint="write it as refs/heads/main or refs/tags/v1"
        )
    commit = sha or hashlib.sha1(f"{project} {ref}".encode(), usedforsecurity=False).hexdigest()
    return {
        "sub": f"project_path:{project}:ref_type:{kind}:ref:{short}",
        "project_id": _id(project), "project_path": project, "project_visibility": "private",
        "namespace_id": _id(owner), "namespace_path": owner,
        "user_id": "1", "user_login": "lab", "user_email": "lab@" + GITLAB, "user_access_level": "maintainer",
        "pipeline_id": "1", "pipeline_source": "push", "job_id": "1",
        "ref": short, "ref_type": kind, "ref_path": ref, "ref_protected": "true",
        "runner_id": 1, "runner_environment": "self-hosted",
        "sha": commit, "ci_config_sha": commit, "ci_config_ref_uri": f"{GITLAB}/{project}//.gitlab-ci.yml@{ref}",
    }  # fmt: skip


def claims_in(words: Iterable[str]) -> dict[str, Json]:
    """Claims as a command line has them, ``NAME=VALUE``; a value is text, as nearly all of GitLab's are.

    Raises:
        UsageError: GP814 one is of another form.
    """
    said: dict[str, Json] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise UsageError("GP814", f"{word!r} is no claim", hint="write it as NAME=VALUE")
        said[name] = value
    return said


def token(key: rsa.RSAPrivateKey, issuer: str, said: Mapping[str, Json], *, now: int, lasting: int = 300) -> str:
    """A token that says ``said``, where nothing else is said for Sigstore and from now on.

    Args:
        key: the issuer's.
        issuer: its address.
        said: the claims; they win over what is added here, so that wrong tokens can be made, too.
        now: seconds since 1970.
        lasting: seconds until it expires.
    """
    times: dict[str, Json] = {"iat": now, "nbf": now - 5, "exp": now + lasting}
    body: dict[str, Json] = {"iss": issuer, "aud": AUDIENCE, "jti": f"lab-{now}", **times, **said}
    head: dict[str, Json] = {"alg": "RS256", "typ": "JWT", "kid": _name(key.public_key())}
    signed = ".".join(_url(json.dumps(part, separators=(",", ":")).encode()) for part in (head, body))
    return signed + "." + _url(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))


def _id(path: str) -> str:
    """A number for a path, the same every time, as GitLab's are."""
    return str(int.from_bytes(hashlib.sha256(path.encode()).digest()[:3]) + 1)


def _name(key: rsa.RSAPublicKey) -> str:
    return hashlib.sha256(_number(key.public_numbers().n).encode()).hexdigest()[:16]


def _number(number: int) -> str:
    return _url(number.to_bytes((number.bit_length() + 7) // 8))


def _url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
