"""A hostile commit reaches nothing of this machine from the sandbox, and all of it without one."""

import asyncio
import ctypes
import os
import pickle
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from gopub.build.sandbox import NONE
from gopub.errors import GopubError, RefusedError
from gopub.evidence import generate
from gopub.process import run
from gopub.release import (
    ReleasePlan,
    archive,
    check_modules,
    checkout,
    compile_target,
    plan,
    unit_tests,
)
from gopub.source.modules import ModuleReport
from gopub.store.backends.directory import DirectoryStore
from tests.e2e.hostile_commit import Marks, daemons, files, reached
from tests.e2e.release_kit import CACHE, SMALL, a_repository, build_release, config, files_of, git, payload

pytestmark = [pytest.mark.go]

_LIBC, _VSOCK = ctypes.CDLL(None), 40
EVERYTHING = {
    "home", "key", "agent", "host's lo", "abstract socket", "modules", "build cache", "check cache", "state", "source",
    "token", "processes", "own lo",
}  # fmt: skip


@pytest.fixture(autouse=True)
async def writable(tmp_path: Path) -> AsyncIterator[None]:
    """Go writes its module cache read-only; pytest wants to remove it."""
    yield
    await run(["chmod", "-R", "u+w", str(tmp_path)])


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Caches that these tests may spoil: a copy, since compiling Go's library takes long."""
    folder = tmp_path_factory.mktemp("cache")
    for name in ("go-mod", "go-compiled", "go-checked"):
        (folder / name).mkdir()
        if name != "go-mod" and (CACHE / name).is_dir():
            asyncio.run(run(["cp", "-a", f"{CACHE / name}/.", str(folder / name)]))
    yield folder
    asyncio.run(run(["chmod", "-R", "u+w", str(folder)]))


def planted(folder: Path) -> list[Path]:
    """The files that the commit's tests put there; in its own copy they may."""
    return [path for path in folder.rglob("planted") if "tested" not in path.parts]


_ADD_KEY, _KEYCTL = {"x86_64": (248, (250,)), "aarch64": (217, (219,))}.get(os.uname().machine, (0, ()))


def put_key(name: str) -> bool:
    """Put a key into the keyring of the user; whether this machine has one, and the number of the call is known."""
    user = ctypes.c_long(-4)
    return bool(_ADD_KEY) and _LIBC.syscall(_ADD_KEY, b"user", name.encode(), b"secret", ctypes.c_size_t(6), user) > 0


def outside_namespaces() -> set[str]:
    """What a process of this machine reaches that no namespace closes: not every kernel has it."""
    found = {"keyring"} if put_key("gopub-tried") else set()
    with suppress(OSError), socket.socket(_VSOCK, socket.SOCK_STREAM):
        found.add("vsock")
    return found


@pytest.fixture
def marks(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Marks]:
    """A machine with a home, keys, an agent, a server on lo, state, and caches with something in them."""
    home, state = tmp_path / "home", tmp_path / "state"
    for folder in (home / ".ssh", state, tmp_path / "done"):
        folder.mkdir(parents=True)
    for path in planted(cache):
        path.unlink()
    (home / ".ssh/id_ed25519").write_text("a private key")
    agent, server, abstract = (socket.socket(kind) for kind in (socket.AF_UNIX, socket.AF_INET, socket.AF_UNIX))
    agent.bind(str(home / "agent"))
    server.bind(("127.0.0.1", 0))
    name = f"gopub-{os.getpid()}"
    abstract.bind(f"\0{name}")
    for one in (agent, server, abstract):
        one.listen(8)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(home / "agent"))
    key = generate(state / "keys").private
    token = f"token-{os.urandom(8).hex()}"
    # This process's own environment does not show what is set later; a child that lives shows it.
    watched = f"watched-{os.urandom(8).hex()}"
    with_token = os.posix_spawn("/bin/sleep", [watched, "600"], {"SECRET_TOKEN": token})
    ring = f"gopub-{os.urandom(8).hex()}"
    put_key(ring)
    yield Marks(
        Home=str(home),
        Key=str(key),
        Token=token,
        Agent=str(home / "agent"),
        Server=f"127.0.0.1:{server.getsockname()[1]}",
        Abstract=f"@{name}",
        Modules=str(cache / "go-mod"),
        Built=str(cache / "go-compiled"),
        Checked=str(cache / "go-checked"),
        State=str(state),
        Source=str(tmp_path / "work/source"),
        Done=str(tmp_path / "done"),
        Watched=watched,
        Ring=ring,
        Calls=_KEYCTL,
    )
    os.kill(with_token, signal.SIGKILL)
    os.waitpid(with_token, 0)
    for pid in daemons(tmp_path / "done"):
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    if os.geteuid() == 0:
        Path("/usr/local/etc/planted").unlink(missing_ok=True)
    for one in (agent, server, abstract):
        one.close()


async def planned(tmp_path: Path, cache: Path, commit: dict[str, str]) -> tuple[ReleasePlan, ModuleReport]:
    await a_repository(tmp_path / "origin", commit)
    order = replace(config(tmp_path / "origin", tmp_path / "work"), cache=cache)
    made = await plan(order, await checkout(order), started=0.0)
    return made, await check_modules(made)


async def what_tests_reach(made: ReleasePlan, modules: ModuleReport) -> set[str]:
    with pytest.raises(GopubError, match="GP227") as caught:
        await unit_tests(made, modules)
    assert "told" in str(caught.value)
    return reached(str(caught.value))


async def test_the_tests_of_a_commit_reach_their_own_loopback_and_nothing_else(
    tmp_path: Path, cache: Path, marks: Marks
) -> None:
    made, modules = await planned(tmp_path, cache, files(marks))
    built = await compile_target(made, modules, made.targets[0])
    assert await what_tests_reach(made, modules) == {"own lo"}
    assert daemons(Path(marks.Done)) == []
    again = await compile_target(made, modules, made.targets[0])
    assert again.digest == built.digest
    assert (made.tree.path / "word.txt").read_text() == "honest"
    assert planted(tmp_path) + planted(cache) == []
    assert list(made.config.work.glob("own-*")) == []


async def test_without_a_sandbox_they_reach_everything(tmp_path: Path, cache: Path, marks: Marks) -> None:
    """The control: every one of these doors is there."""
    made, modules = await planned(tmp_path, cache, files(marks))
    more = outside_namespaces() | ({"kernel", "/usr"} if os.geteuid() == 0 else set())
    assert await what_tests_reach(replace(made, sandbox=NONE), modules) == EVERYTHING | more
    assert daemons(Path(marks.Done)) != []
    assert {path.parent.name for path in planted(tmp_path) + planted(cache)} >= {"state", "go-mod", "go-compiled"}


async def test_tests_that_ask_for_network_get_it_where_the_project_says_so_too(
    tmp_path: Path, cache: Path, marks: Marks
) -> None:
    asks = "build: {test: {network: true}}\n"
    made, modules = await planned(tmp_path, cache, files(marks, asks))
    assert (made.network, made.tests) == (True, "network")
    assert await what_tests_reach(made, modules) == {"own lo", "host's lo", "abstract socket"}


MORE = "app: small\nbuild: {unsandboxed: true, test: {network: true}}\n"


async def test_a_commit_cannot_grant_itself_more_than_the_project_says(tmp_path: Path) -> None:
    folder = await a_repository(tmp_path / "origin", SMALL | {"gopub.yaml": MORE})
    order = config(folder, tmp_path / "work", "v1.0.0")
    granted = await plan(order, await checkout(order), started=0.0)
    assert granted.network
    await a_repository(folder, {"gopub.yaml": SMALL["gopub.yaml"]}, tag="")
    made = await plan(order, await checkout(order), started=0.0)
    assert (made.network, bool(made.sandbox)) == (False, True)
    assert "lo alone" in " ".join(made.remarks)
    address = replace(order, repository=folder.as_uri())
    assert not (await plan(address, await checkout(address), started=0.0)).network
    word = tmp_path / "project/gopub.yaml"
    word.parent.mkdir()
    for said, network in ((MORE, True), (MORE.replace("small", "other"), False)):
        word.write_text(said)
        assert (await plan(replace(address, word=word), made.tree, started=0.0)).network is network


@pytest.fixture
def no_bubblewrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has programs, and no bwrap among them."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for folder in (Path(one) for one in os.environ["PATH"].split(os.pathsep)):
        for program in folder.glob("*"):
            if program.name != "bwrap" and not (programs / program.name).exists():
                (programs / program.name).symlink_to(program)
    monkeypatch.setenv("PATH", str(programs))


@pytest.mark.usefixtures("no_bubblewrap")
@pytest.mark.parametrize("commit_alone", [True, False])
async def test_without_bubblewrap_nothing_is_built_unless_commit_and_project_do_without(
    tmp_path: Path, commit_alone: bool
) -> None:
    waived = SMALL["gopub.yaml"].replace("{", "{unsandboxed: true, ", 1)
    folder = await a_repository(tmp_path / "origin", SMALL | {"gopub.yaml": waived})
    if commit_alone:
        await a_repository(folder, {"gopub.yaml": SMALL["gopub.yaml"]}, tag="")
    store, key = DirectoryStore(tmp_path / "store"), generate(tmp_path / "keys").private
    made = build_release(config(folder, tmp_path / "work", "v1.0.0"), key=key, store=store)
    if commit_alone:
        with pytest.raises(RefusedError, match=r"GP230 .*is not installed"):
            await made
        assert await store.list("") == []
        return
    said = payload((await files_of(store, await made, "linux/amd64", tmp_path / "out"))["bundle provenance"])
    inner = said["predicate"]["buildDefinition"]["internalParameters"]
    assert (inner["sandbox"], inner["tests"]) == ("none", "network")


async def test_the_provenance_names_the_sandbox_and_a_failing_test_publishes_nothing(tmp_path: Path) -> None:
    folder = await a_repository(tmp_path / "origin", SMALL)
    store = DirectoryStore(tmp_path / "store")
    key = generate(tmp_path / "keys").private
    signed = await build_release(config(folder, tmp_path / "work"), key=key, store=store)
    files = await files_of(store, signed, "linux/amd64", tmp_path / "out")
    inner = payload(files["bundle provenance"])["predicate"]["buildDefinition"]["internalParameters"]
    assert inner["sandbox"].startswith("bubblewrap 0.")
    assert inner["tests"] == "loopback"
    failing = 'package main\n\nimport "testing"\n\nfunc TestIt(t *testing.T) { t.Fatal("nonce-4711") }\n'
    await a_repository(folder, {"main_test.go": failing}, tag="v1.1.0")
    listed = await store.list("")
    with pytest.raises(GopubError, match=r"GP227 (.|\n)*nonce-4711"):
        await build_release(config(folder, tmp_path / "work"), key=key, store=store)
    assert (tmp_path / "work/out/small-1.1.0-linux-amd64").is_file(), "tests come after the build"
    assert await store.list("") == listed


STUBBORN = """package main

import (
	"os"
	"testing"
	"time"
)

func TestIt(t *testing.T) {
	os.WriteFile("begun", nil, 0o644)
	time.Sleep(time.Hour)
}
"""
DRIVER = """
import asyncio, pickle, sys
from gopub.release import unit_tests
asyncio.run(unit_tests(*pickle.loads(sys.stdin.buffer.read())))
"""


async def test_tests_end_with_whoever_ran_them_even_when_it_is_killed(tmp_path: Path, cache: Path) -> None:
    made, modules = await planned(tmp_path, cache, SMALL | {"main_test.go": STUBBORN})
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", DRIVER, stdin=asyncio.subprocess.PIPE)
    assert child.stdin is not None
    child.stdin.write(pickle.dumps((made, modules)))
    child.stdin.close()
    begun = tmp_path / "work/tested/begun"
    while not begun.exists():
        assert child.returncode is None, "it ended before its tests began"
        await asyncio.sleep(0.1)
    assert inside(tmp_path) != [], "the control: they can be seen while they run"
    child.kill()
    await child.wait()
    for _ in range(300):
        if not inside(tmp_path):
            break
        await asyncio.sleep(0.1)
    assert inside(tmp_path) == []


def inside(folder: Path) -> list[str]:
    """Processes of this machine whose working folder lies below the folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/root"):
        with suppress(OSError):
            mounts = (path.parent / "mountinfo").read_text()
            if f"{folder.name}/work/tested " in mounts and path.parent.name != str(os.getpid()):
                found.append(path.parent.name)
    return found


async def test_a_remote_repository_with_history_is_built_without_network(tmp_path: Path) -> None:
    """Its clone is sparing: what older commits hold is not there, and cannot be fetched in the sandbox."""
    folder = await a_repository(tmp_path / "origin", SMALL | {"big.txt": "old"}, tag="v1.0.0")
    await git(folder, "config", "uploadpack.allowFilter", "true")
    await a_repository(folder, {"big.txt": "new"}, tag="v1.1.0")
    order = replace(config(tmp_path / "origin", tmp_path / "work"), repository=folder.as_uri())
    made = await plan(order, await checkout(order), started=0.0)
    built = await compile_target(made, await check_modules(made), made.targets[0])
    assert (built.info.settings["vcs.modified"], made.version) == ("false", "1.1.0")


async def test_a_repository_that_borrows_its_objects_is_built(tmp_path: Path) -> None:
    """What it borrows from lies outside the sandbox."""
    folder = await a_repository(tmp_path / "origin", SMALL)
    await git(tmp_path, "clone", "-q", "--shared", str(folder), str(tmp_path / "borrower"))
    order = config(tmp_path / "borrower", tmp_path / "work")
    made = await plan(order, await checkout(order), started=0.0)
    built = await compile_target(made, await check_modules(made), made.targets[0])
    assert built.info.settings["vcs.modified"] == "false"


async def test_a_sandbox_changes_no_byte(tmp_path: Path) -> None:
    folder = await a_repository(tmp_path / "origin", SMALL)
    order = config(folder, tmp_path / "work")
    made = await plan(order, await checkout(order), started=0.0)
    modules = await check_modules(made)
    packed = await archive(made, await compile_target(made, modules, made.targets[0]))
    plain = replace(made, sandbox=NONE)
    assert await archive(plain, await compile_target(plain, modules, made.targets[0])) == packed


async def test_what_tests_print_without_end_is_not_kept(tmp_path: Path) -> None:
    flood = """package main

import (
	"os"
	"testing"
)

func TestIt(t *testing.T) {
	line := make([]byte, 1<<20)
	for range 200 {
		os.Stdout.Write(line)
	}
	t.Fatal("at last")
}
"""
    folder = await a_repository(tmp_path / "origin", SMALL | {"main_test.go": flood})
    order = config(folder, tmp_path / "work")
    made = await plan(order, await checkout(order), started=0.0)
    with pytest.raises(GopubError, match=r"GP227 (.|\n)*at last") as caught:
        await unit_tests(made, await check_modules(made))
    assert len(str(caught.value)) < 100_000
