"""Names, flags, commands, archives and build information: everything about a build that needs no compiler."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from gopub.build import Target, archive_name, binary_name, parse_build_info, write_archive
from gopub.build.artifact import FileRef
from gopub.build.buildinfo import check_build_info
from gopub.build.check import summarize
from gopub.build.compile import BuildInput, build_command, folder_in
from gopub.build.ldflags import render_ldflags
from gopub.errors import GopubError, SpecError, UsageError
from gopub.source.modfile import Module

COMMIT = "a" * 40
INFO = f"""/tmp/x/hello: go1.26.8
	path	example.org/hello
	mod	example.org/hello	v1.0.0	
	dep	example.org/dep	v1.2.3	h1:abc=
	dep	example.org/old	v1.0.0
	=>	example.org/fork	v1.1.0	h1:def=
	build	-trimpath=true
	build	CGO_ENABLED=0
	build	GOARCH=amd64
	build	GOOS=linux
	build	vcs.revision={COMMIT}
	build	vcs.modified=false
"""  # noqa: W291 - as Go prints it


def test_names_follow_the_target() -> None:
    linux, windows = Target.parse("linux/amd64"), Target.parse("windows/amd64")
    assert binary_name("hello", "1.0.0", linux) == "hello-1.0.0-linux-amd64"
    assert binary_name("hello", "1.0.0", windows) == "hello-1.0.0-windows-amd64.exe"
    assert archive_name("hello", "1.0.0", linux) == "hello-1.0.0-linux-amd64.tar.gz"
    assert archive_name("hello", "1.0.0", windows) == "hello-1.0.0-windows-amd64.zip"


@pytest.mark.parametrize("text", ["linux", "linux/", "linux/amd64/v3", "Linux/amd64", "a b/c", ""])
def test_what_is_no_target_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="GP222"):
        Target.parse(text)


def test_flags_are_filled_in() -> None:
    flags = render_ldflags("-X main.version={{ version }}", {"version": "1.0.0", "commit": COMMIT})
    assert flags == "-s -w -X main.version=1.0.0"
    assert render_ldflags("", {}) == "-s -w"


@pytest.mark.parametrize(
    "template",
    [
        "{{ verison }}",
        "{{",
        "{% if %}",
        "{{ version.__class__.mro() }}",
        "{{ version + 1 }}",
        "{{ 1 / 0 }}",
        "{{ 1 | dictsort }}",
        "{{ version * 10 ** 9 }}",
        "{% for a in range(10 ** 9) %}{% endfor %}",
    ],
)
def test_a_wrong_flag_template_says_what_it_may_use(template: str) -> None:
    with pytest.raises(SpecError, match=r"GP225 (.|\n)*known names: commit, version"):
        render_ldflags(template, {"version": "1.0.0", "commit": COMMIT})


@pytest.mark.parametrize(
    "flags",
    [
        "-X main.version=1 -X 'main.words=two words' -buildid= --X=main.a=b",
        '-extldflags "-static" -H windowsgui',
        '"-X" main.a=-extld=evil',
    ],
)
def test_flags_about_the_program_pass_as_they_are(flags: str) -> None:
    assert render_ldflags(flags, {}) == f"-s -w {flags}"


@pytest.mark.parametrize(
    "flags",
    [
        "-extld=./evil.sh",
        "--extld ./evil.sh",
        "-linkmode=external",
        "-buildmode=plugin",
        "-X main.a=b -tmpdir=/src",
        "-o /cache/x",
        "'-extld=evil'",
        "-X 'main.a=b'-extld=evil",
        "-X main.a=b c",
        "-X",
        "-X 'main.a",
        "@file",
        "---s",
        "./...=-s",
    ],
)
def test_a_flag_that_reaches_further_is_refused(flags: str) -> None:
    with pytest.raises(SpecError, match="GP232"):
        render_ldflags(flags, {})


def an_order(main: str) -> BuildInput:
    return BuildInput(Path("/src"), main, "-s -w", "vendor", COMMIT)


def test_the_command_names_a_package_and_every_flag() -> None:
    assert build_command(an_order("cmd/hello"), "/out/hello") == (
        "build",
        "-trimpath",
        "-buildvcs=true",
        "-mod=vendor",
        "-ldflags",
        "-s -w",
        "-o",
        "/out/hello",
        "./cmd/hello",
    )


def test_a_package_is_named_from_its_modules_folder(tmp_path: Path) -> None:
    assert folder_in(tmp_path, tmp_path) == "."
    assert folder_in(tmp_path, tmp_path / "services/orders/.") == "./services/orders"
    with pytest.raises(SpecError, match="GP223"):
        build_command(an_order(folder_in(tmp_path / "svc", tmp_path)), "/out/hello")


@pytest.mark.parametrize("main", ["./cmd/main.go", "../other", "./...", "/abs", "-toolexec=x"])
def test_what_is_no_package_is_refused(main: str) -> None:
    with pytest.raises(SpecError, match="GP223"):
        build_command(an_order(main), "/out/hello")


def test_build_information_is_read() -> None:
    info = parse_build_info(INFO)
    assert (info.go, info.path) == ("1.26.8", "example.org/hello")
    assert info.module == Module("example.org/hello", "v1.0.0")
    assert info.dependencies == (
        Module("example.org/dep", "v1.2.3", "h1:abc="),
        Module("example.org/fork", "v1.1.0", "h1:def="),
    )
    check_build_info(info, target=Target("linux", "amd64"), commit=COMMIT)


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("GOARCH=amd64", "GOARCH=arm64", "GOARCH is arm64, not amd64"),
        ("CGO_ENABLED=0", "CGO_ENABLED=1", "CGO_ENABLED is 1, not 0"),
        ("vcs.modified=false", "vcs.modified=true", "vcs.modified is true, not false"),
        (f"vcs.revision={COMMIT}", "x=y", "vcs.revision is absent"),
        ("path\texample.org/hello", "path\tcommand-line-arguments", "from a file"),
    ],
)
def test_a_binary_that_was_not_ordered_is_refused(right: str, wrong: str, said: str) -> None:
    info = parse_build_info(INFO.replace(right, wrong))
    with pytest.raises(GopubError, match=f"GP224 .*{said}"):
        check_build_info(info, target=Target("linux", "amd64"), commit=COMMIT)


def test_test_output_is_counted() -> None:
    report = summarize("ok ./a\nok  \tb\t0.1s\nFAIL ./c (exit code 1)\nok .\n", 3)
    assert (report.tested, report.untested) == (2, 3)


@pytest.mark.parametrize("os", ["linux", "windows"])
def test_archives_depend_on_their_content_alone(tmp_path: Path, os: str) -> None:
    program = tmp_path / "program"
    target, made = Target(os, "amd64"), []
    for folder in ("a", "b"):
        program.write_bytes(b"\x7fELF" * 1000)
        program.chmod(0o600 if folder == "a" else 0o777)
        made.append(
            write_archive(
                program, app="hello", target=target, commit_time=1_700_000_000, output=tmp_path / folder / "x"
            )
        )
    assert made[0].path.read_bytes() == made[1].path.read_bytes()
    program.write_bytes(b"\x7fELG" * 1000)
    other = write_archive(program, app="hello", target=target, commit_time=1_700_000_000, output=tmp_path / "c")
    assert other.ref.digest != made[0].ref.digest


def test_archives_hold_one_program_owned_by_root(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"x")
    tar = write_archive(program, app="hello", target=Target("linux", "amd64"), commit_time=7, output=tmp_path / "t")
    with tarfile.open(fileobj=io.BytesIO(tar.path.read_bytes())) as archive:
        (member,) = archive.getmembers()
    assert (member.name, member.mode, member.uid, member.uname, member.mtime) == ("bin/hello", 0o755, 0, "", 7)
    zipped = write_archive(
        program, app="hello", target=Target("windows", "amd64"), commit_time=7, output=tmp_path / "z"
    )
    with zipfile.ZipFile(zipped.path) as archive_zip:
        assert archive_zip.namelist() == ["bin/hello.exe"]


def test_a_file_reference_survives_json() -> None:
    ref = FileRef.of("x", b"data")
    assert FileRef.from_json(ref.to_json()) == ref
