"""The health check of gopub.yaml: what is asked, and which answers mean well."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from gopub.spec.base import Model
from gopub.spec.fields import PositiveSeconds, Word, matching
from gopub.spec.texts import HealthUrl


def _as_text(value: Any) -> Any:
    """``401`` is a number in YAML, and ``2xx`` is text."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Codes = Annotated[
    Word,
    BeforeValidator(_as_text),
    AfterValidator(
        matching("[234](xx|[0-9][0-9])", "GP118", "a code that can mean well", "write 2xx, 3xx, 4xx or 401")
    ),
    WithJsonSchema({"type": ["string", "integer"], "pattern": "^[234](xx|[0-9][0-9])$", "minimum": 200,
                    "maximum": 499, "examples": ["2xx", 401]}),
]  # fmt: skip
"""A status code of HTTP, or a hundred of them; a 5xx never means well."""

HostName = Annotated[
    Word,
    AfterValidator(
        matching(
            r"([A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?",
            "GP129",
            "a host for the header Host",
            'write it as "orders.example" or "orders.example:8080"',
        )
    ),
]
"""What stands in the header Host: a name or an address, with a port where it is not the usual one."""


class HealthCheck(Model):
    """How a host says that it is well."""

    http: HealthUrl = Field(examples=["http://127.0.0.1:8080/healthz"])
    """A URL with host and port, as seen on the host."""
    host: HostName | None = None
    """The header Host, for a service that answers by name; by default host and port of the URL."""
    accept: tuple[Codes, ...] = Field(("2xx",), min_length=1)
    """Which status codes mean well."""
    within: PositiveSeconds = 30.0
    """How long after a start it may take."""

    @property
    def port(self) -> int:
        """The port of the URL; 0 where it has none (refused by the rules)."""
        try:
            return urlsplit(self.http).port or 0
        except ValueError:
            return 0

    @property
    def orders(self) -> dict[str, str]:
        """How a host is told of it; what is usual is left out, so that hosts with an older program understand it."""
        accept = ",".join(dict.fromkeys(self.accept))
        more = {"health_host": self.host or "", "health_accept": "" if accept == "2xx" else accept}
        return {"health": self.http, **{name: text for name, text in more.items() if text}}
