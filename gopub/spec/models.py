"""The shape of gopub.yaml: one frozen model per mapping; only keys that gopub acts on stand here.

Keys that the language has and this version does not act on are in ``notyet.py``; rules that span several
keys are in ``rules.py``. Values are those of the effective spec: every default is resolved.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from gopub.spec.admit import AdmitSpec
from gopub.spec.base import Model
from gopub.spec.budget import BudgetSpec, PromoteSpec
from gopub.spec.compat import Compat
from gopub.spec.confirm import Confirm
from gopub.spec.fields import (
    Chance,
    Fraction,
    HostAmount,
    Line,
    Name,
    Number,
    PositiveSeconds,
    Seconds,
    Switch,
    Whole,
    Word,
)
from gopub.spec.health import HealthCheck
from gopub.spec.marks import RollbackSpec, ScoreSpec, ShadowSpec, Slo
from gopub.spec.own import OwnMetrics, moved
from gopub.spec.route import Route
from gopub.spec.runtime import Limits, RuntimeText
from gopub.spec.texts import (
    INVENTORY,
    EndpointPatterns,
    GoVersion,
    Inside,
    Package,
    SelectorText,
    Sticky,
    TagName,
    Target,
    Trusted,
    UserName,
    VariableName,
    WindowText,
)
from gopub.spec.watch import WatchSpec
from gopub.units import Amount


class SourceSpec(Model):
    """What a commit must look like before it is built."""

    modules: Literal["auto", "vendor", "proxy"] = "auto"
    """Where dependencies come from: auto takes vendor/ where there is one, else the module proxy."""
    require: tuple[Literal["clean-tree"], ...] = ("clean-tree",)
    """What the checkout must be."""


class TestSpec(Model):
    """Vet and the tests of the module."""

    __test__ = False  # its name makes pytest look twice

    run: Switch = True
    """Run go vet and go test after the build; a failure publishes nothing."""
    network: Switch = False
    """Give tests this machine's network; without it they have lo alone."""


class BuildSpec(Model):
    """How the program is compiled."""

    main: Package = "."
    """The main package's folder, relative to gopub.yaml."""
    go: GoVersion | None = None
    """The Go version, quoted ("1.26"); without it, any from what go.mod names."""
    targets: tuple[Target, ...] = ("linux/amd64",)
    """OS/architecture pairs as `go tool dist list` names them."""
    ldflags: Line = ""
    """More linker flags; {{ version }} and {{ commit }} are filled in."""
    file: Inside | None = None
    """The program, where it is no Go program: a file of the commit, or one that `command` makes; see docs."""
    command: tuple[Word, ...] = ()
    """What makes `file`, run in the folder of gopub.yaml in a sandbox without network."""
    test: TestSpec = TestSpec()
    """Vet and tests."""
    unsandboxed: Switch = False
    """Build and test even where there is no sandbox; the commit's code then runs as you."""


class SignSpec(Model):
    """Who signs the release."""

    key: Word | None = None
    """A connection of kind key, or a path; without it and `keyless` the local key pair."""
    keyless: Word | None = None
    """A connection of kind sigstore, which gives certificates: no key is kept."""


class EvidenceSpec(Model):
    """What is stated and signed about the artifacts."""

    sbom: tuple[Literal["spdx", "cyclonedx"], ...] = ("spdx",)
    """Formats of the software bill of materials."""
    sign: SignSpec = SignSpec()
    """The signature."""
    provenance: Literal["slsa-v1"] = "slsa-v1"
    """The statement of how it was built."""


class PublishSpec(Model):
    """Where releases go."""

    store: Word = "directory"
    """A connection of kind directory or s3; "directory" is a folder on this machine."""


Port = Annotated[Whole, Field(ge=1, le=65535)]
Ports = Annotated[tuple[Port, ...], Field(min_length=2, max_length=2)]


class ServiceSpec(Model):
    """The systemd unit."""

    unit: Inside | None = None
    """A unit template, relative to gopub.yaml; without it a safe one is written."""
    args: tuple[Line, ...] = ()
    """Arguments of the program."""
    env: Mapping[VariableName, Line] = {}
    """Environment variables of the program; no secrets."""
    user: UserName | None = None
    """The user that runs it; without it a dynamic one."""
    runtime: Mapping[VariableName, RuntimeText] = {}
    """Variables that are read back from the process; no secrets."""
    limits: Limits = Limits()
    """What it may take of its host."""
    ports: Ports | None = Field(None, examples=[[8080, 8081]])
    """For `switch: side-by-side`: the ports on which old and new release listen by turns."""


class ConfigFile(Model):
    """One file that is rendered for each host."""

    template: Inside = Field(examples=["deploy/config.yaml.tmpl"])
    """A Jinja2 template, relative to gopub.yaml."""
    to: Inside = Field(examples=["config.yaml"])
    """Where it lies in the release directory, relative."""
    apply: Literal["restart", "reload"] = "restart"
    """How the program takes it in."""


class Traffic(Model):
    """The edges in front of the hosts."""

    router: Word = Field(examples=["edge-prod"])
    """A connection of kind nginx."""
    upstream: Name
    """The upstream's name on the edge; by default the app's."""
    port: Whole = Field(ge=1, le=65535, examples=[8080])
    """The service's port on the hosts; by default that of the health URL."""
    sticky: Sticky = "address"
    """What keeps a user on a track: address, header:NAME or cookie:NAME."""
    drain: Seconds = 20.0
    """How long in-flight requests may take before a restart."""
    warmup: Seconds = 10.0
    """For how long a host that was started gets its traffic slowly, and its latency is told but not judged.

    Where it is not written down it is as long as the hosts of the stable release took, if that was seen.
    """
    latency: Literal["auto", "header", "total"] = "auto"
    """Which time of an answer is its latency: to its header, to its end (total), or auto: by what is in it."""
    trust: tuple[Trusted, ...] = (INVENTORY,)
    """Networks whose X-Forwarded-* and gray headers are believed; inventory: its hosts, and the edges."""
    tag: TagName | None = Field(None, examples=["orders-v2"])
    """What x-gray-tag carries on from requests that got the canary, for a route of the next service to ask for."""


class Step(Model):
    """A state of the rollout to reach and bake in."""

    hosts: HostAmount | None = None
    """How many hosts run the canary, all steps so far included; rounded up."""
    weight: Fraction | None = None
    """The canary's share of the traffic; without weight and route it follows the hosts."""
    route: Route | None = None
    """Requests that choose the canary."""
    bake: Seconds = 60.0
    """How long it is observed at the least."""
    between: WindowText | None = None
    """When this step may begin; on the first step it replaces the rollout's window."""
    approve: Word | None = None
    """Who must approve before this step."""


_HOUR, _DAY = 3600.0, 86400.0


class RolloutSpec(Model):
    """How a release reaches all hosts."""

    window: tuple[WindowText, ...] = ()
    """When a rollout may begin: the window of its first step; none means always; going back never waits."""
    steps: tuple[Step, ...] = (
        Step(hosts=1),
        Step(hosts="10%"),
        Step(hosts="50%"),
        Step(hosts="100%"),
    )
    """The steps in order."""
    deadline: PositiveSeconds | None = None
    """When a rollout that does not come to an end is taken back; by default an hour after all bakes, or a day after."""
    keep_stable: Whole = Field(0, ge=0)
    """So many hosts stay on stable until the last bake is over, for the judge to compare with; then they follow."""

    watch: WatchSpec | None = None
    """The promoted release is watched for so long; a breach brings the release before back."""

    @property
    def ends_within(self) -> float:
        """Seconds from the first bake on: ``deadline``, else all bakes and an hour.

        An hour is enough to look into what holds a canary, and nobody wants users on a suspicious one over night. Where
        a later step waits for a person or a window it is a day, for people sleep.
        """
        if self.deadline is not None:
            return self.deadline
        waits = any(step.approve or step.between for step in self.steps[1:])
        return sum(step.bake for step in self.steps) + (_DAY if waits else _HOUR)


class Judge(Model):
    """What is read, and what it takes to go on or back."""

    source: Word | None = None
    """`edges`, or a connection of kind prometheus; by default the edges, with the router's metrics beside them."""
    metrics: OwnMetrics = ()
    """The team's own metrics; a plain word is an old spelling of `source`."""
    logs: Word | None = None
    """A connection of kind journald, logfile or otlp; by default the router's."""
    logs_profile: Literal["default", "article"] = "default"
    """What holds while error lines rise: a surge that is surely none of chance, or three times as many in 10 s."""
    slo: Slo = Slo()
    """The service level."""
    score: ScoreSpec = ScoreSpec()
    """The score."""
    rollback: RollbackSpec = RollbackSpec()
    """Watching before going back."""
    min_requests: Whole = Field(50, ge=1)
    """Fewer on the canary prove nothing: hold."""
    alpha: Chance = Field(0.01, gt=0, le=0.2)
    """The chance of a false alarm per rollout."""
    promote: PromoteSpec = PromoteSpec()
    """What ends a bake."""
    budget: BudgetSpec = BudgetSpec()
    """The error budget as a brake."""
    look: PositiveSeconds | None = None
    """Time between two looks; by default what the metrics allow."""
    endpoints: EndpointPatterns = ()
    """Endpoints that are judged by themselves as well; auto, alone or last: those that stable serves most."""
    shadow: ShadowSpec | None = None
    """A policy that rides along and acts on nothing."""

    @model_validator(mode="before")
    @classmethod
    def _source_of_before(cls, data: Any) -> Any:
        """``metrics: NAME`` was how the connection was named before it had a key of its own."""
        return moved(data)

    @property
    def beside(self) -> Judge | None:
        """All that the policy which rides along goes by; None where none does."""
        if self.shadow is None:
            return None
        given = {name: getattr(self.shadow, name) for name in ShadowSpec.model_fields}
        return self.model_copy(update={name: one for name, one in given.items() if one is not None} | {"shadow": None})


About = Literal["approval-needed", "rolled-back", "withdrawn", "owed", "stuck", "promoted"]
"""What people can be told of."""


class Notify(Model):
    """Who is told what of this environment's rollouts."""

    to: Word = Field(examples=["release-room"])
    """A connection of kind apprise or alertmanager."""
    on: tuple[About, ...] = get_args(About)
    """Of what; by default of all."""
    lang: Literal["en", "zh"] = "en"
    """In which language."""


class Environment(Model):
    """One named environment: which hosts, and how a release enters it."""

    inventory: Word = Field(examples=["deploy/hosts.ini"])
    """A connection of kind inventory, or a path relative to gopub.yaml."""
    hosts: SelectorText = Field(examples=["role=orders"])
    """Which hosts: label terms that must all hold."""
    instance: Name
    """Unit and directory on the hosts; by default the app's name."""
    require: Literal["any", "enrolled"] = "any"
    """Which hosts are used: any, or only those that check orders themselves."""
    admit: AdmitSpec = AdmitSpec()
    """Whose releases may enter."""
    service: ServiceSpec = ServiceSpec()
    """The unit."""
    switch: Literal["restart", "socket", "handover", "reload", "side-by-side"] = "restart"
    """How the new release takes over."""
    config: tuple[ConfigFile, ...] = ()
    """Files rendered for each host."""
    config_check: tuple[Line, ...] = ()
    """A command that says whether the rendered files are good; the program's name first."""
    confirm: Confirm = ()
    """How the program says which files with `apply: reload` it took in: a URL, or the words of a command."""
    compat: Compat = Compat()
    """How it lives together with other versions."""
    health: HealthCheck = Field(examples=["http://127.0.0.1:8080/healthz"])
    """The health check."""
    max_unavailable: HostAmount = Amount(share=0.25)
    """How many hosts may be out at once, rounded down, at least 1; binds rollbacks too."""
    max_load: Number = Field(1.5, ge=1)
    """A plan that gives a host more than this times its even share is refused."""
    traffic: Traffic | None = None
    """The edges; without it steps are host batches only."""
    rollout: RolloutSpec = RolloutSpec()
    """The steps."""
    judge: Judge = Judge()
    """The verdicts."""
    keep_releases: Whole = Field(5, ge=2)
    """How many releases stay on a host."""
    notify: tuple[Notify, ...] = ()
    """Who is told; a word alone is a connection that is told of everything."""


class ReleaseSpec(Model):
    """The whole of gopub.yaml."""

    scalar_is_first = False

    schema_: Literal["gopub/v1"] = Field("gopub/v1", alias="schema")
    """The version of this language."""
    app: Name = Field(examples=["orders"])
    """The app's name."""
    source: SourceSpec = SourceSpec()
    """The commit."""
    build: BuildSpec = BuildSpec()
    """The build."""
    evidence: EvidenceSpec = EvidenceSpec()
    """The evidence."""
    publish: PublishSpec = PublishSpec()
    """The store."""
    environments: Mapping[Name, Environment] = {}
    """The environments by name."""

    @model_validator(mode="before")
    @classmethod
    def _fill_from_siblings(cls, data: Any) -> Any:
        """Resolve the defaults that are taken from another key (instance, upstream, port)."""
        return fill_from_siblings(data)


def fill_from_siblings(data: Any) -> Any:
    """Give each environment the ``instance``, ``traffic.upstream`` and ``traffic.port`` that it leaves out."""
    if not isinstance(data, Mapping) or not isinstance(data.get("environments"), Mapping):
        return data
    environments = {name: _fill(env, data.get("app")) for name, env in data["environments"].items()}
    return {**data, "environments": environments}


def _fill(env: Any, app: Any) -> Any:
    if not isinstance(env, Mapping):
        return env
    named = app if isinstance(app, str) else None
    filled = {**_given("instance", named), **env}
    traffic = env.get("traffic")
    if isinstance(traffic, str):
        traffic = {"router": traffic}
    if isinstance(traffic, Mapping):
        filled["traffic"] = {**_given("upstream", named), **_port_of(env.get("health")), **traffic}
    return filled


def _given(key: str, value: str | None) -> dict[str, str]:
    return {key: value} if value else {}


def _port_of(health: Any) -> dict[str, int]:
    url = health.get("http") if isinstance(health, Mapping) else health
    if not isinstance(url, str):
        return {}
    port = HealthCheck.model_construct(http=url).port
    return {"port": port} if port else {}
