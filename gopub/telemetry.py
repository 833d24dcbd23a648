"""Log lines with a trace id and without secrets: one redaction filter at the sink."""

from __future__ import annotations

import base64
import logging
import re
import secrets
import shlex
import urllib.parse

_SIGNED_QUERY = re.compile(r"(X-Amz-(?:Signature|Credential|Security-Token)=)[^&\s\"']+")
_MASK = "**********"


class Redactor(logging.Filter):
    """Replaces known secrets, in their usual spellings, in every record that passes."""

    def __init__(self) -> None:
        """Start with no secret known; presigned URL signatures are always masked."""
        super().__init__()
        self._secrets: set[str] = set()

    def learn(self, secret: str) -> None:
        """Mask ``secret`` from now on, also base64, URL and shell quoted; short words are left alone."""
        if len(secret) < 6:
            return
        encoded = base64.b64encode(secret.encode()).decode()
        self._secrets |= {
            secret,
            encoded,
            encoded.rstrip("="),
            urllib.parse.quote(secret, safe=""),
            shlex.quote(secret),
        }

    def clean(self, text: str) -> str:
        """The text with every known secret masked."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, _MASK)
        return _SIGNED_QUERY.sub(rf"\g<1>{_MASK}", text)

    def filter(self, record: logging.LogRecord) -> bool:
        """Clean message, arguments and traceback text in place; never drops a record."""
        record.msg, record.args = self.clean(record.getMessage()), None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = self.clean(record.exc_text)
        return True


REDACTOR = Redactor()


def log(name: str) -> logging.Logger:
    """The logger ``gopub.<name>``, redacted."""
    logger = logging.getLogger(f"gopub.{name}")
    if REDACTOR not in logger.filters:
        logger.addFilter(REDACTOR)
    return logger


def new_trace_id() -> str:
    """A W3C trace id: 32 lower-case hex digits; one per release or rollout."""
    return secrets.token_hex(16)
