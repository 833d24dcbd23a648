"""A commit whose tests try to reach what they must not; each says what it managed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

MODULE = "module example.org/hostile\n\ngo 1.24\n"
MAIN = 'package main\n\nimport _ "embed"\n\n//go:embed word.txt\nvar word string\n\nfunc main() { print(word) }\n'

TEST = """package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

//go:embed marks.json
var marks []byte

var mark struct {
	Home, Key, Token, Agent, Server, Abstract, Modules, Built, Checked, State, Source, Done, Watched, Ring string
	Calls []uintptr
}

// It begins before any test, as code of a package does.
func init() {
	if err := json.Unmarshal(marks, &mark); err != nil {
		panic(err)
	}
}

func say(what string) { fmt.Println("REACHED " + what) }

func reads(what, path string) {
	if _, err := os.ReadFile(path); err == nil {
		say(what)
	}
}

func writes(what, folder string) {
	if os.WriteFile(filepath.Join(folder, "planted"), []byte("x"), 0o644) == nil {
		say(what)
	}
}

func dials(what, network, address string) {
	if connection, err := net.DialTimeout(network, address, 3*time.Second); err == nil {
		connection.Close()
		say(what)
	}
}

// settable is a file of the kernel's that can be written, core_pattern before all others: it names a program.
func settable() string {
	found := ""
	try := func(path string) bool {
		file, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		if err == nil {
			file.Close()
			found = path
		}
		return err == nil
	}
	if try("/proc/sys/kernel/core_pattern") {
		return found
	}
	filepath.WalkDir("/proc", func(path string, entry fs.DirEntry, err error) error {
		name := strings.TrimPrefix(path, "/proc/")
		if name != "" && (name[0] >= '0' && name[0] <= '9' || name == "self" || name == "thread-self") {
			return filepath.SkipDir
		}
		if err == nil && entry.Type().IsRegular() && try(path) {
			return filepath.SkipAll
		}
		return nil
	})
	return found
}

// keys looks in the keyring of the session, which a process inherits, and in that of the user, found by its number.
func keys() bool {
	const session, search, read, link = ^uintptr(2), 10, 11, 8
	keyctl := mark.Calls[0]
	listed, _ := os.ReadFile("/proc/keys")
	for _, line := range strings.Split(string(listed), "\\n") {
		var ring uintptr
		if fmt.Sscanf(line, "%x", &ring); strings.Contains(line, "_uid.") {
			syscall.Syscall(keyctl, link, ring, session)
		}
	}
	pointer := func(text string) uintptr { return uintptr(unsafe.Pointer(unsafe.StringData(text + "\\x00"))) }
	key, _, err := syscall.Syscall6(keyctl, search, session, pointer("user"), pointer(mark.Ring), 0, 0)
	if err != 0 {
		return false
	}
	said := make([]byte, 64)
	size, _, err := syscall.Syscall6(keyctl, read, key, uintptr(unsafe.Pointer(&said[0])), 64, 0, 0)
	return err == 0 && size > 0
}

// vsock is the way of a virtual machine to its host.
func vsock() bool {
	file, err := syscall.Socket(40, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.Close(file)
	}
	return err == nil
}

func TestMain(m *testing.M) {
	reads("home", filepath.Join(mark.Home, ".ssh", "id_ed25519"))
	reads("key", mark.Key)
	dials("agent", "unix", mark.Agent)
	dials("host's lo", "tcp", mark.Server)
	dials("abstract socket", "unix", mark.Abstract)
	writes("modules", mark.Modules)
	writes("build cache", mark.Built)
	writes("check cache", mark.Checked)
	writes("state", mark.State)
	writes("source", mark.Source)
	writes("/usr", "/usr/local/etc")
	if path := settable(); path != "" {
		say("kernel")
		fmt.Println(path)
	}
	if len(mark.Calls) > 0 && keys() {
		say("keyring")
	}
	if vsock() {
		say("vsock")
	}
	environments, _ := filepath.Glob("/proc/*/environ")
	for _, path := range append(environments, "/proc/self/environ") {
		if data, _ := os.ReadFile(path); strings.Contains(string(data), mark.Token) {
			say("token")
			break
		}
	}
	lines, _ := filepath.Glob("/proc/*/cmdline")
	for _, path := range lines {
		if data, _ := os.ReadFile(path); strings.Contains(string(data), mark.Watched) {
			say("processes")
			break
		}
	}
	daemon := exec.Command("setsid", "sh", "-c", "sleep 4; echo x >"+mark.Done+"/late; sleep 1000")
	if daemon.Start() == nil {
		fmt.Println("STARTED daemon")
	}
	code := m.Run()
	os.WriteFile("main.go", []byte("package main\\n\\nfunc main() { print(\\"evil\\") }\\n"), 0o644)
	os.WriteFile("word.txt", []byte("evil"), 0o644)
	os.Exit(code)
}

func TestOwnLoopback(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	answer, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	fmt.Println("REACHED own lo")
}

func TestSay(t *testing.T) { t.Fatal("told") }
"""


@dataclass(frozen=True, slots=True)
class Marks:
    """What lies outside, for the commit to find: it knows every path and every address."""

    Home: str
    Key: str
    Token: str
    Agent: str
    Server: str
    Abstract: str
    Modules: str
    Built: str
    Checked: str
    State: str
    Source: str
    Done: str
    Watched: str
    Ring: str
    Calls: tuple[int, ...]


def files(marks: Marks, spec: str = "") -> dict[str, str]:
    """The commit."""
    return {
        "go.mod": MODULE,
        "main.go": MAIN,
        "word.txt": "honest",
        "marks.json": json.dumps(asdict(marks)),
        "main_test.go": TEST,
        "gopub.yaml": f"app: hostile\n{spec}",
    }


def reached(said: str) -> set[str]:
    """What the tests say that they reached."""
    return {line.partition(" ")[2] for line in said.splitlines() if line.startswith("REACHED ")}


def daemons(mark: Path) -> list[str]:
    """Processes of this machine that the tests left behind."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            said = path.read_bytes()
        except OSError:
            continue
        if f"{mark}/late".encode() in said:
            found.append(path.parent.name)
    return found
