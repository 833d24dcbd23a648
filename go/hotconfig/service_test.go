//go:build linux

package hotconfig

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

var program string

func TestMain(m *testing.M) {
	folder, err := os.MkdirTemp("", "hotconfig")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(folder, "service")
	if said, err := exec.Command("go", "build", "-race", "-o", program, "./testdata/service").CombinedOutput(); err != nil {
		panic(string(said))
	}
	code := m.Run()
	_ = os.RemoveAll(folder)
	os.Exit(code)
}

// house is /opt/hello of a host, and the service that runs there.
type house struct {
	*testing.T
	home, url string
	process   *os.Process
}

const never = "1h" // no poll: what is seen was seen by an event

func lay(t *testing.T) *house {
	t.Helper()
	h := &house{T: t, home: filepath.Join(t.TempDir(), "opt", "hello")}
	h.stage("a", `{"greeting": "a", "listen": ":1"}`)
	h.turn("a")
	return h
}

func open(t *testing.T, poll string) *house {
	t.Helper()
	h := lay(t)
	h.start(exec.Command(program, h.file()), poll)
	return h
}

func (h *house) start(command *exec.Cmd, poll string) {
	h.Helper()
	command.Env = append(os.Environ(), "POLL="+poll, "GORACE=atexit_sleep_ms=0")
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	h.do(err)
	h.do(command.Start())
	h.process = command.Process
	h.Cleanup(func() { // it lives until then, whatever it was given, and without a race
		_ = command.Process.Signal(syscall.SIGTERM)
		if err := command.Wait(); err != nil {
			h.Error("the service:", err)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	h.do(err)
	h.url = "http://" + strings.TrimSpace(line)
	h.until("it watches", func(s Status) bool { return s.Watching == "inotify" })
}

func (h *house) file() string { return filepath.Join(h.home, "current", "config.json") }

func (h *house) do(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *house) stage(release, text string) {
	h.Helper()
	folder := filepath.Join(h.home, "releases", release)
	h.do(os.MkdirAll(folder, 0o755))
	h.do(os.WriteFile(filepath.Join(folder, "config.json"), []byte(text), 0o644))
}

// turn switches as gopub's host program does.
func (h *house) turn(release string) {
	h.Helper()
	_ = os.Remove(filepath.Join(h.home, ".current"))
	h.do(os.Symlink("releases/"+release, filepath.Join(h.home, ".current")))
	h.do(os.Rename(filepath.Join(h.home, ".current"), filepath.Join(h.home, "current")))
}

// put renames a new file over the one that counts.
func (h *house) put(text string) {
	h.Helper()
	h.do(os.WriteFile(h.file()+".new", []byte(text), 0o644))
	h.do(os.Rename(h.file()+".new", h.file()))
}

func (h *house) get(path string) string {
	h.Helper()
	answer, err := http.Get(h.url + path)
	if err != nil {
		h.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		h.Fatal(err)
	}
	return string(text)
}

func (h *house) status() (s Status) {
	h.Helper()
	h.do(json.Unmarshal([]byte(h.get("/status")), &s))
	return s
}

func (h *house) until(what string, holds func(Status) bool) Status {
	h.Helper()
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if s := h.status(); holds(s) {
			return s
		} else if time.Now().After(end) {
			h.Fatalf("not before the end: %s, but %+v", what, s)
		}
	}
}

func (h *house) greets(greeting string) {
	h.Helper()
	h.until(greeting, func(s Status) bool { return strings.HasPrefix(h.get("/"), greeting+" ") && s.Successful })
}

func TestEachWayInWhichAFileChangesIsSeen(t *testing.T) {
	h := open(t, never)
	text := func(greeting string) string { return fmt.Sprintf(`{"greeting": %q, "listen": ":1"}`, greeting) }
	write := func(path, greeting string) { h.do(os.WriteFile(path, []byte(text(greeting)), 0o644)) }
	at := func(words ...string) string { return filepath.Join(append([]string{h.home}, words...)...) }
	for number, change := range []func(string){
		func(g string) { h.stage(g, text(g)); h.turn(g) },                // a switch
		func(g string) { h.put(text(g)) },                                // a rename in the new folder
		func(g string) { write(h.file(), g) },                            // written in place
		func(g string) { h.do(os.Remove(h.file())); write(h.file(), g) }, // deleted and made
		func(g string) { // ln -sfn: for a moment nothing is there
			h.stage(g, text(g))
			h.do(os.Remove(at("current")))
			h.do(os.Symlink("releases/"+g, at("current")))
		},
		func(g string) { // missing for longer than the debounce
			h.do(os.Remove(at("current")))
			h.until("it misses the file", func(s Status) bool { return !s.Successful })
			h.stage(g, text(g))
			h.do(os.Symlink(at("releases", g), at("current")))
		},
		func(g string) { // another link behind the link, as Kubernetes makes them
			h.do(os.MkdirAll(at("v1"), 0o755))
			write(at("v1", "config.json"), g)
			h.do(os.Symlink("v1", at("data")))
			h.do(os.Symlink("data", at("next")))
			h.do(os.Rename(at("next"), at("current")))
		},
		func(g string) { // and the inner one switches
			h.do(os.MkdirAll(at("v2"), 0o755))
			write(at("v2", "config.json"), g)
			h.do(os.Symlink("v2", at("data.new")))
			h.do(os.Rename(at("data.new"), at("data")))
		},
		func(g string) { // a folder above is replaced
			h.do(os.Rename(h.home, h.home+".old"))
			h.stage(g, text(g))
			h.turn(g)
		},
		func(g string) { // the file itself is a link that switches
			write(at("elsewhere"), g)
			h.do(os.Symlink("../../elsewhere", h.file()+".new"))
			h.do(os.Rename(h.file()+".new", h.file()))
		},
		func(g string) { write(at("elsewhere"), g) }, // what it points to changes in place
	} {
		greeting := fmt.Sprintf("g%d", number)
		change(greeting)
		h.greets(greeting)
	}
}

func TestABadFileKeepsWhatServesAndSaysWhy(t *testing.T) {
	h := open(t, never)
	before := h.status()
	for want, bad := range map[string]func(){
		"parse: ":                       func() { h.put(`{"greeting": `) },
		"validate: no greeting":         func() { h.put(`{}`) },
		"validate: panic: a validator":  func() { h.put(`{"greeting": "panic"}`) },
		"prepare: cannot be made ready": func() { h.put(`{"greeting": "unprepared"}`) },
		"longer than 4096 bytes":        func() { h.put(`{"greeting": "` + strings.Repeat("x", 5000) + `"}`) },
		"unexpected end of JSON":        func() { h.put("") },
		"invalid character '\\x00'":     func() { h.put("\x00\xff\xfe") },
		"no such file":                  func() { h.do(os.Remove(h.file())) },
		"too many levels":               func() { _ = os.Remove(h.file()); h.do(os.Symlink("config.json", h.file())) },
		"no regular file":               func() { _ = os.Remove(h.file()); h.do(syscall.Mkfifo(h.file(), 0o644)) },
		"config.json: it is no regular": func() { _ = os.Remove(h.file()); h.do(os.Mkdir(h.file(), 0o755)) },
		"config.json: not a directory": func() {
			h.do(os.Symlink("/dev/null", filepath.Join(h.home, "n")))
			h.do(os.Rename(filepath.Join(h.home, "n"), filepath.Join(h.home, "current")))
		},
	} {
		bad()
		s := h.until(want, func(s Status) bool { return strings.Contains(s.LastError, want) && !s.Successful })
		if greeting := h.get("/"); s.SHA256 != before.SHA256 || greeting != "a 1 "+before.SHA256 || s.Revision != 1 {
			t.Errorf("%s: %s serves under %+v", want, greeting, s)
		}
		if text := h.get("/metrics"); !strings.Contains(text, "\nconfig_last_reload_successful 0\n") {
			t.Error(text)
		}
		_ = os.RemoveAll(filepath.Join(h.home, "releases", "a", "config.json"))
		h.stage("a", `{"greeting": "a", "listen": ":1"}`)
		h.turn("a")
		s = h.until("the old one is back", func(s Status) bool { return s.Successful })
		if s.Revision != 1 || s.LastError != "" {
			t.Errorf("what was in force all the time is no new revision: %+v", s)
		}
	}
	h.put(`{"greeting": "b"}`)
	h.greets("b")
	text := h.get("/metrics")
	for _, line := range []string{"config_last_reload_successful 1", "config_revision 2", "config_restart_required 1",
		`config_info{sha256="` + h.status().SHA256 + `"} 1`} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Error("not there:", line, "in", text)
		}
	}
}

func TestAKeyThatNeedsARestartIsNamedUntilItIsPutBack(t *testing.T) {
	h := open(t, never)
	for greeting, listen := range map[string]string{"b": ":2", "c": ":3"} {
		h.put(fmt.Sprintf(`{"greeting": %q, "listen": %q}`, greeting, listen))
		h.greets(greeting)
		if keys := h.status().RestartRequired; len(keys) != 1 || keys[0] != "listen" {
			t.Fatal(keys)
		}
	}
	h.put(`{"greeting": "d", "listen": ":1"}`)
	h.greets("d")
	if text := h.get("/status"); !strings.Contains(text, `"restart_required":[]`) {
		t.Fatal(text)
	}
}

func TestWithoutAnEventThePollSeesIt(t *testing.T) {
	h := open(t, "50ms")
	other := filepath.Join(h.home, "other") // by another name in another folder, whose events nobody hears
	h.do(os.Link(filepath.Join(h.home, "releases", "a", "config.json"), other))
	time.Sleep(100 * time.Millisecond)
	h.do(os.WriteFile(other, []byte(`{"greeting": "b"}`), 0o644))
	h.greets("b")
}

func TestASignalRetriesWhatWasRefused(t *testing.T) {
	h := open(t, never)
	h.put(`{"greeting": "panic"}`)
	s := h.until("refused", func(s Status) bool { return s.Failures == 1 })
	for range 3 {
		h.do(h.process.Signal(syscall.SIGHUP))
		again := s.Failures
		s = h.until("tried again", func(s Status) bool { return s.Failures > again })
	}
	for range 2000 { // signals are joined, and none ends the process
		h.do(h.process.Signal(syscall.SIGHUP))
	}
	h.put(`{"greeting": "b"}`)
	h.greets("b")
}

func TestTenThousandRequestsSeeNoErrorAndNoHalf(t *testing.T) {
	h := open(t, never)
	over, ended := make(chan struct{}), make(chan int)
	go func() {
		number := 0
		defer func() { ended <- number }()
		for ; ; number++ {
			select {
			case <-over:
				return
			default:
			}
			release := fmt.Sprintf("r%d", number%7)
			text := fmt.Sprintf(`{"greeting": "g%d"}`, number)
			if number%5 == 4 {
				text = "{" // a bad one in between
			}
			_ = os.RemoveAll(filepath.Join(h.home, "releases", release+".new"))
			h.stage(release+".new", text)
			h.turn(release + ".new")
			time.Sleep(15 * time.Millisecond)
		}
	}()
	seen := map[string]string{}
	for range 10_000 {
		var greeting, revision, hash string
		if _, err := fmt.Sscan(h.get("/"), &greeting, &revision, &hash); err != nil {
			t.Fatal(err)
		}
		if before, found := seen[revision]; found && before != greeting+hash {
			t.Fatalf("revision %s is both %s and %s", revision, before, greeting+hash)
		}
		seen[revision] = greeting + hash
	}
	close(over)
	switched := <-ended
	if len(seen) < 3 {
		t.Fatalf("control: only %d revisions of %d switches were seen", len(seen), switched)
	}
	h.stage("last", `{"greeting": "last"}`)
	h.turn("last")
	h.greets("last")
}
