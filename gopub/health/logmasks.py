"""What in a log line has the shape of a secret or of a person, and what stands in its place.

A shape that is found too often costs a person a word; one that is not found is read by everybody who reads the
journal. Each pattern takes time in proportion to the text, for a service decides what is in it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

MASK = "***"
_SIGNS = frozenset({":", "=", ":=", "=>"})
_LONG_NAME = 40
_COLOUR = r"\x1b\[[0-9;]{0,16}m"  # a logger on a terminal paints keys
_GAP = rf"(?:{_COLOUR}|\s){{0,3}}"
_WORD = r"""[^\s,;&"'<}\]]+"""
_VALUE = rf"""(?:(?:bearer|basic)\s+)?(?:"(?:[^"\\]|\\.)*"?|'[^']*'?|\[[^\]]*\]?|\{{[^}}]*\}}?|<[^>]*>?|{_WORD})"""
_KEY = (
    r"(?:(?:passw|pwd|secret|token|(?:api|private|access|account|shared|client|master|signing|encryption)[-_ ]?key"
    r"|credential|authori[sz]ation|cookie|session|[cx]srf)[\w-]{0,20}"
    r"|pass(?:code|phrase)?(?![a-z])"
    r"|(?<![a-z])(?:auth|jwt|t?otp|pin|pw|sid|sig|signature|ssn|cvv|cvc)(?![a-z]))"
)
_IS = rf"""(?:\\?["'])?{_GAP}(?::=|=>|[:=]|%3d){_GAP}\\?"""
_ISSUED = (
    r"gh[opsur]_|github_pat_|glpat-|[prs]k[-_](?:live|test)[-_]|sk-|whsec_|xox[a-z]-|A[KS]IA|AIza|ya29\.|eyJ|npm_|pypi-"
    r"|hv[bs]\.|SG\.|dop_v1_|AGE-SECRET-KEY-"
)
"""How keys begin that well-known services issue; ``eyJ`` is a JSON object in base64, as a web token has it."""


def _any(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_NAMED = _any(rf"{_KEY}|^bearer$")


MASKS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY.*?(?:-----END[A-Z0-9 ]{0,60}-----|\Z)", re.DOTALL), MASK),
    (
        _any(
            rf"(authori[sz]ation{_IS})(?:[a-z][\w-]{{0,30}}\s+)?(?:[\w-]{{1,40}}=)?{_VALUE}(?:,\s?[\w-]{{1,40}}={_VALUE})*"
        ),
        rf"\g<1>{MASK}",
    ),
    (_any(rf"(cookies?{_IS}){_VALUE}(?:;\s?[^\s;\"']+)*"), rf"\g<1>{MASK}"),
    (_any(rf"({_KEY}{_IS}){_VALUE}"), rf"\g<1>{MASK}"),
    (_any(rf"(--?[\w-]{{0,40}}{_KEY}\s+){_VALUE}"), rf"\g<1>{MASK}"),  # a flag of a command
    (_any(rf"""({_KEY}\s+)(?:"[^"]+"?|'[^']+'|`[^`]+`)"""), rf"\g<1>{MASK}"),
    (_any(rf"(<[\w:-]{{0,40}}{_KEY}(?:\s[^>]{{0,200}})?>)[^<]+"), rf"\g<1>{MASK}"),
    (_any(r"\b((?:bearer|basic)(?:\s+|\s?[:=]\s?))[\w.~+/=-]+"), rf"\g<1>{MASK}"),
    (re.compile(r"://[^\s/]{1,200}@"), f"://{MASK}@"),
    (re.compile(r"://[^\s/:@]{0,64}:(?!\d{1,5}/)\S{1,200}@"), f"://{MASK}@"),  # a password with a slash
    (_any(rf"([?&](?:code|key|nonce|otp|sig|state|ticket|saml\w{{1,10}})=){_WORD}"), rf"\g<1>{MASK}"),
    (re.compile(rf"\b(?:{_ISSUED})[\w.+/=-]{{6,}}"), MASK),
    (re.compile(r"\$(?:[156y]|2[abxy]|argon2\w{1,2}|scrypt)\$[\w./$,=+-]{8,}"), MASK),
    (re.compile(r"[\w.+%-]{1,64}(?:@|%40)[\w-]{1,64}(?:\.[\w-]{1,64})*"), MASK),
    (re.compile(r"(?=[A-Za-z_+/=-]{0,200}\d)[\w+/=-]{24,}"), MASK),  # a key, an id of a session, a digest
    (re.compile(r"\+?\(?\d(?:[ \u00a0\u2009\u202f\u2010-\u2015()-]{0,3}\d){8,}"), MASK),  # a card, an account, a phone
    (re.compile(r"\b\d{4}\.\d{4}\.\d{4}\.\d{1,7}\b|\b\d{3}\.\d{3}\.\d{4}\b"), MASK),  # no address has four digits
)
"""In the order in which they are applied."""


def hidden_words(words: Sequence[str]) -> frozenset[int]:
    """Which words of a line are a secret, though they may consist of letters: those after the name of one."""
    found: set[int] = set()
    for at, word in enumerate(words):
        if word[-1] not in ":=>" and word[0] != "-" and word.lower() != "bearer":
            continue  # most words name nothing
        named = words[at - 1] if word in _SIGNS and at else word
        if len(named) <= _LONG_NAME and _NAMED.search(named):
            found.update((at + 1, at + 2) if "authori" in named.lower() else (at + 1,))  # after its scheme
    return frozenset(found)
