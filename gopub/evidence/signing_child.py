"""The process that signs with a certificate: it has the token, and of what is signed digests and statements alone.

It is asked and answers in frames on its standard streams: at first where to sign and as whom, then as often as somebody
wants something signed. The token comes this way alone: not by the command line, which everybody can read, nor by the
environment, which every process of the same user can. Whatever goes wrong with a service is an answer.
"""

from __future__ import annotations

import ctypes
import json
import sys
from typing import IO, Any

from gopub.evidence.signing_frames import HEAD
from gopub.evidence.sigstore_signing import Desk, Failure

_SET_DUMPABLE = 4
"""With 0, no other process of this user reads this one's memory, and none of it is written to a file at its end."""


def main() -> None:
    """Answer until nobody asks any more."""
    ctypes.CDLL(None).prctl(_SET_DUMPABLE, 0, 0, 0, 0)
    asks, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # what a library prints is no answer
    desk: Desk | None = None
    while (asked := _read(asks)) is not None:
        answer: dict[str, Any] = {}
        try:
            if desk is None:
                desk = Desk(asked)
            else:
                answer = {"bundles": desk.bundles(asked["asked"])}
        except Failure as failure:
            answer = {"failed": failure.to_json()}
        _write(answers, answer)


def _read(stream: IO[bytes]) -> dict[str, Any] | None:
    head = stream.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    found = json.loads(stream.read(HEAD.unpack(head)[0]))
    return found if isinstance(found, dict) else None


def _write(stream: IO[bytes], answer: dict[str, Any]) -> None:
    data = json.dumps(answer).encode()
    stream.write(HEAD.pack(len(data)) + data)
    stream.flush()


if __name__ == "__main__":
    main()
