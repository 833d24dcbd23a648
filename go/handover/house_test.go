//go:build linux

package handover

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var built string

func TestMain(m *testing.M) {
	folder, err := os.MkdirTemp("", "handover")
	if err != nil {
		panic(err)
	}
	built = filepath.Join(folder, "service")
	if said, err := exec.Command("go", "build", "-race", "-o", built, "./testdata/service").CombinedOutput(); err != nil {
		panic(string(said))
	}
	code := m.Run()
	_ = os.RemoveAll(folder)
	os.Exit(code)
}

// house is /opt/x of a host, the service that runs there, and systemd's ear.
type house struct {
	*testing.T
	folder, home, tcp, unix string
	mainPID                 atomic.Int64 // as systemd knows it
	statusText              atomic.Value
	process                 *exec.Cmd
}

// lay makes release a, which misbehaves as how says.
func lay(t *testing.T, how ...string) *house {
	t.Helper()
	folder, err := os.MkdirTemp("", "h") // short: names of sockets are
	h := &house{T: t, folder: folder, home: filepath.Join(folder, "opt", "x"), unix: filepath.Join(folder, "u")}
	h.do(err)
	t.Cleanup(func() {
		if text, err := os.ReadFile(filepath.Join(folder, "stderr")); t.Failed() {
			t.Logf("what the processes said: %s %v", text, err)
		}
		for _, pid := range h.alive() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		_ = os.RemoveAll(folder)
	})
	h.hear(filepath.Join(folder, "notify"))
	h.stage("a", how...)
	h.turn("a")
	return h
}

// start starts it: with the path of its own folder, as the unit is while it switches; with a shell before it, which alone
// knows its number; with systemd's files from 3 on.
func (h *house) start(files []*os.File, more ...string) *exec.Cmd {
	h.Helper()
	release := filepath.Join(h.home, "releases", "a")
	command := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, filepath.Join(release, "bin", "x"), "--config="+release+"/config", "tcp="+h.asks(), "unix="+h.unix)
	said, err := os.Create(filepath.Join(h.folder, "stderr")) // a file: a pipe would be held open by what outlives this
	h.do(err)
	defer said.Close()
	command.Dir, command.Stderr, command.ExtraFiles = release, said, files
	command.Env = append(os.Environ(), "NOTIFY_SOCKET="+filepath.Join(h.folder, "notify"), "GOMAXPROCS=1", "GORACE=atexit_sleep_ms=0")
	command.Env = append(command.Env, more...)
	h.do(command.Start())
	return command
}

// asks is the address in the words of the command line. The kernel chooses the port, so nobody else can have it.
func (h *house) asks() string {
	if h.tcp == "" {
		return "127.0.0.1:0"
	}
	return h.tcp
}

// serves waits for the first process, and reads where it listens.
func (h *house) serves(command *exec.Cmd) *house {
	h.Helper()
	go func() { _ = command.Wait() }()
	h.until("the first one serves", func() bool { return h.mainPID.Load() != 0 })
	text, err := os.ReadFile(filepath.Join(h.folder, "opt", "address"))
	h.do(err)
	h.tcp = string(text)
	h.mainPID.Store(int64(command.Process.Pid))
	return h
}

// open starts release a.
func open(t *testing.T, how ...string) *house {
	t.Helper()
	h := lay(t, how...)
	return h.serves(h.start(nil))
}

func (h *house) do(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *house) hear(address string) {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	h.do(err)
	h.Cleanup(func() { _ = conn.Close() })
	go func() {
		text, rights := make([]byte, 65536), make([]byte, 4096)
		for {
			n, m, _, _, err := conn.ReadMsgUnix(text, rights)
			if err != nil {
				return
			}
			if messages, err := unix.ParseSocketControlMessage(rights[:m]); err == nil {
				for _, one := range messages {
					fds, _ := unix.ParseUnixRights(&one)
					for _, fd := range fds {
						_ = unix.Close(fd)
					}
				}
			}
			for _, line := range strings.Split(string(text[:n]), "\n") {
				if pid, is := strings.CutPrefix(line, "MAINPID="); is {
					number, _ := strconv.ParseInt(pid, 10, 64)
					h.mainPID.Store(number)
				} else if text, is := strings.CutPrefix(line, "STATUS="); is {
					h.statusText.Store(text)
				} else if line == "READY=1" {
					h.mainPID.CompareAndSwap(0, 1)
				}
			}
		}
	}()
}

func (h *house) stage(release string, how ...string) {
	h.Helper()
	folder := filepath.Join(h.home, "releases", release)
	h.do(os.MkdirAll(filepath.Join(folder, "bin"), 0o755))
	_ = os.Remove(filepath.Join(folder, "bin", "x"))
	h.do(os.Link(built, filepath.Join(folder, "bin", "x")))
	h.do(os.WriteFile(filepath.Join(folder, "how"), []byte(strings.Join(how, "\n")), 0o644))
}

func (h *house) turn(release string) {
	h.Helper()
	_ = os.Remove(filepath.Join(h.home, ".current"))
	h.do(os.Symlink("releases/"+release, filepath.Join(h.home, ".current")))
	h.do(os.Rename(filepath.Join(h.home, ".current"), filepath.Join(h.home, "current")))
}

// alive are the service's processes, whoever's children they are.
func (h *house) alive() (pids []int) {
	links, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, link := range links {
		if at, err := os.Readlink(link); err == nil && strings.HasPrefix(at, h.home+"/") {
			pid, _ := strconv.Atoi(strings.Split(link, "/")[2])
			pids = append(pids, pid)
		}
	}
	return pids
}

func (h *house) until(what string, holds func() bool) {
	h.Helper()
	for end := time.Now().Add(60 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			answer, err := h.ask("tcp", "/status")
			h.Fatalf("not before the end: %s; alive %v, main %d, %s %v", what, h.alive(), h.mainPID.Load(), answer, err)
		}
	}
}

// sees waits for the second process. On a busy machine the old one may be gone before anybody looks.
func (h *house) sees(old int) {
	h.Helper()
	h.until("two", func() bool { all := h.alive(); return len(all) == 2 || !slices.Contains(all, old) })
}

// ask is one request on a connection of its own, never tried again.
func (h *house) ask(network, path string) (string, error) {
	address := map[string]string{"tcp": h.tcp, "unix": h.unix}[network]
	client := http.Client{Timeout: 40 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return net.Dial(network, address) },
	}}
	answer, err := client.Post("http://x"+path, "text/plain", strings.NewReader("x"))
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return string(text), err
}

// serving is who answers: release, pid, folder, argument.
func (h *house) serving() (words []string) {
	h.Helper()
	text, err := h.ask("tcp", "/")
	if words = strings.Fields(text); err != nil || len(words) != 4 {
		h.Fatal(text, err)
	}
	return words
}

func (h *house) status() (s Status) {
	h.Helper()
	text, err := h.ask("unix", "/status")
	h.do(err)
	h.do(json.Unmarshal([]byte(text), &s))
	return s
}

func (h *house) upgrade(pid int) {
	h.Helper()
	h.do(syscall.Kill(pid, syscall.SIGUSR2))
}

func (h *house) said() string { text, _ := h.statusText.Load().(string); return text }

func (h *house) main() int { return int(h.mainPID.Load()) }

// settles waits until one process is left, which is the one that answers and that systemd knows, and says its release.
func (h *house) settles() (release string, pid int) {
	h.Helper()
	h.until("one is left", func() bool { all := h.alive(); return len(all) == 1 && all[0] == h.main() })
	// It hears of that by the wire, a little later on a busy machine, and refuses another upgrade until then.
	h.until("it knows that it is alone", func() bool { return h.status().Predecessor == 0 })
	for range 10 {
		for _, network := range []string{"tcp", "unix"} {
			text, err := h.ask(network, "/")
			h.do(err)
			words := strings.Fields(text)
			if words[1] != strconv.Itoa(h.main()) {
				h.Fatalf("%s answers, and systemd knows %d", words, h.main())
			}
			release = words[0]
		}
	}
	return release, h.main()
}

// load asks all the time, and tells in the end what was lost and who answered.
func (h *house) load() func() (lost []string, by map[string]int) {
	over, ended := make(chan struct{}), make(chan struct{})
	var lost []string
	by := map[string]int{}
	go func() {
		defer close(ended)
		for number := 0; ; number++ {
			select {
			case <-over:
				return
			default:
			}
			text, err := h.ask([]string{"tcp", "unix"}[number%2], "/")
			if err != nil {
				lost = append(lost, fmt.Sprint(number, err))
				continue
			}
			time.Sleep(time.Millisecond)
			by[strings.Fields(text)[0]]++
		}
	}()
	return func() ([]string, map[string]int) { close(over); <-ended; return lost, by }
}
