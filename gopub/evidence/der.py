"""Certificates out of their bytes, or none: what only draws a warning of the library today is no certificate here.

A serial number below zero, and what else is read against RFC 5280 for a while yet, a later version will refuse; until
then it would be told in the log of whoever looks at a stranger's bundle.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from cryptography.x509 import Certificate, load_der_x509_certificate


def certificate(der: bytes) -> Certificate:
    """The certificate.

    Raises:
        ValueError: it is none.
    """
    with _strictly():
        return load_der_x509_certificate(der)


def whole_certificate(der: bytes) -> Certificate:
    """The certificate, with extensions that can be read.

    Raises:
        ValueError: it is none.
        DuplicateExtension, UnsupportedGeneralNameType: of the library, an extension is none.
    """
    with _strictly():
        found = load_der_x509_certificate(der)
        _ = found.extensions
        return found


@contextmanager
def _strictly() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            yield
        except Warning as warning:
            raise ValueError(str(warning)) from None
