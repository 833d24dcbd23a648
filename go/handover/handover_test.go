//go:build linux

package handover

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestEachUpgradeRunsWhatCurrentNamesAndLosesNothing(t *testing.T) {
	h := open(t)
	ended := h.load()
	for number := range 10 {
		release := fmt.Sprintf("r%d", number)
		h.stage(release)
		h.turn(release)
		before := h.main()
		h.upgrade(before)
		h.until("another one", func() bool { return h.main() != before })
		if got, _ := h.settles(); got != release {
			t.Fatal(got, "serves, not", release)
		}
		words := h.serving()
		if words[2] != release || words[3] != "--config="+h.home+"/current/config" {
			t.Fatal("its folder or argument is another release's:", words)
		}
	}
	lost, by := ended()
	if len(lost) > 0 || by["r0"] == 0 || by["r8"] == 0 {
		t.Fatal(lost, by)
	}
	t.Log(by)
}

func TestASecondUpgradeIsRefusedWhileTheFirstDrains(t *testing.T) {
	h := open(t)
	h.stage("b")
	h.turn("b")
	gate := filepath.Join(h.home, "gate")
	long := make(chan string, 1)
	go func() {
		text, err := h.ask("tcp", "/long?until="+gate)
		long <- fmt.Sprint(text, err)
	}()
	h.until("it is asked", func() bool { _, err := os.Stat(filepath.Join(h.folder, "opt", "long")); return err == nil })
	old := h.main()
	h.upgrade(old)
	h.until("b serves", func() bool { return h.main() != old })
	next := h.main()
	// Until it has taken over, either of them answers, and another upgrade is refused for that.
	want := fmt.Sprintf("process %d, which served before, still drains", old)
	h.until("b alone answers", func() bool { s := h.status(); return s.PID == next && s.Predecessor == old && s.Refuses == want })
	h.upgrade(old)  // who drains
	h.upgrade(next) // who serves meanwhile
	h.until("it says why", func() bool { return h.status().LastRefusal == want })
	if all := h.alive(); len(all) != 2 {
		t.Fatal(all)
	}
	h.do(os.WriteFile(gate, nil, 0o644))
	if text := <-long; text != "a<nil>" && text != "a <nil>" {
		t.Fatal("the long request was lost:", text)
	}
	h.settles()
	if s := h.status(); s.Refuses != "" || s.Predecessor != 0 {
		t.Fatalf("%+v", s)
	}
	h.stage("c")
	h.turn("c")
	h.upgrade(next)
	h.until("c serves", func() bool { return h.main() != next })
	if got, _ := h.settles(); got != "c" {
		t.Fatal(got)
	}
}

func TestWhoeverDoesNotTakeOverLeavesTheOldOneServing(t *testing.T) {
	for how, want := range map[string]string{
		"crash":           "it ended before it said \"ready",
		"refuse":          "it says: config.yaml:3: no such key \"greting\" (exit status 1)",
		"hang":            "did not say \"ready",
		"kill new: begin": "it ended before it said \"ready",
		"kill new: ready": "it ended before it said \"ready",
		"kill new: take":  "it ended before it said \"taken\" (signal: killed)",
		"kill new: taken": "it ended before it said \"taken\" (signal: killed)",
		"stop new: begin": "did not say \"ready",
		"stop new: take":  "did not say \"taken\"",
		"stop new: taken": "did not say \"taken\"",
		"kill new: serve": "took over and died",
		"fall":            "took over and died",
		"no program":      "no such file",
		"no right":        "permission denied",
		"no link":         "no such file",
		"no binary":       "exec format error",
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel() // some wait until a time is over
			h := map[bool]func(*testing.T, ...string) *house{true: soon, false: open}[strings.Contains(want, "did not say")](t)
			old := h.main()
			h.stage("b", how)
			h.turn("b")
			h.spoil("b", how)
			ended := h.load()
			h.upgrade(old)
			h.until("it failed", func() bool { text, _ := h.ask("tcp", "/status"); return strings.Contains(text, `"failures":1`) })
			lost, _ := ended()
			if release, pid := h.settles(); release != "a" || pid != old {
				t.Fatal(release, pid, "serves, not a", old)
			}
			if s := h.status(); !strings.Contains(s.LastError, want) || s.State != Serving || s.Refuses != "" {
				t.Fatalf("%+v", s)
			}
			h.until("systemd knows why", func() bool { return strings.Contains(h.said(), want) && strings.HasPrefix(h.said(), "handover: ") })
			if how != "fall" && how != "kill new: serve" && len(lost) > 0 { // these die with what they accepted
				t.Fatal(lost)
			}
			h.stage("c") // and a good one takes over afterwards
			h.turn("c")
			h.upgrade(old)
			h.until("c serves", func() bool { return h.main() != old })
			if release, _ := h.settles(); release != "c" {
				t.Fatal(release)
			}
		})
	}
}

func soon(t *testing.T, how ...string) *house { return open(t, append(how, "soon")...) }

// spoil does to a release what no service does by itself.
func (h *house) spoil(release, how string) {
	program := filepath.Join(h.home, "releases", release, "bin", "x")
	switch how {
	case "no program":
		h.do(os.Remove(program))
	case "no right", "no binary":
		h.do(os.Remove(program))
		h.do(os.WriteFile(program, []byte("?"), map[string]os.FileMode{"no right": 0o644, "no binary": 0o755}[how]))
	case "no link":
		h.do(os.Remove(filepath.Join(h.home, "current")))
	}
}

func TestAnOldOneThatDiesLeavesTheNewOneServing(t *testing.T) {
	for _, step := range []string{"wait", "go", "told", "drain"} {
		t.Run(step, func(t *testing.T) {
			h := open(t, "kill "+step)
			old := h.main()
			h.stage("b")
			h.turn("b")
			h.upgrade(old)
			h.until("b says that it is the one", func() bool { return h.main() != old })
			if release, _ := h.settles(); release != "b" {
				t.Fatal(release)
			}
			h.until("nobody drains", func() bool { return h.status().Predecessor == 0 })
		})
	}
}

func TestAKillAtAnyTimeLeavesExactlyOne(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	chance := rand.New(rand.NewPCG(seed, 0))
	outcomes := map[string]int{}
	for range 8 {
		h := open(t, "slow")
		old := h.main()
		h.stage("b", "slow")
		h.turn("b")
		h.upgrade(old)
		h.sees(old)
		time.Sleep(time.Duration(chance.IntN(500)) * time.Millisecond)
		victim := old
		if all := h.alive(); chance.IntN(2) == 0 && len(all) == 2 {
			victim = all[0] + all[1] - old
		}
		_ = syscall.Kill(victim, syscall.SIGKILL)
		over := func() bool { // the old one had drained, and was on its way out: systemd's turn
			text, err := os.ReadFile(filepath.Join(h.folder, "stderr"))
			return err == nil && victim != old && strings.Contains(string(text), fmt.Sprint(old, " ends: <nil>"))
		}
		h.until("one is left", func() bool { return len(h.alive()) == 1 || len(h.alive()) == 0 && over() })
		if over() {
			outcomes["over"]++
			continue
		}
		h.until("it answers", func() bool { _, err := h.ask("tcp", "/"); return err == nil })
		words := h.serving()
		if words[1] != strconv.Itoa(h.alive()[0]) {
			t.Fatal(words)
		}
		outcomes[fmt.Sprintf("old died %t, serves %s", victim == old, words[0])]++
		_ = syscall.Kill(h.alive()[0], syscall.SIGKILL)
	}
	t.Log(outcomes)
}

func TestADrainThatDoesNotEndIsCut(t *testing.T) {
	h := soon(t)
	h.stage("b")
	h.turn("b")
	cut := make(chan error, 1)
	go func() {
		_, err := h.ask("tcp", "/long?until=/nowhere")
		cut <- err
	}()
	h.until("it is asked", func() bool { _, err := os.Stat(filepath.Join(h.folder, "opt", "long")); return err == nil })
	old := h.main()
	h.upgrade(old)
	if err := <-cut; err == nil {
		t.Fatal("it was answered")
	}
	if release, _ := h.settles(); release != "b" {
		t.Fatal(release)
	}
	text, err := os.ReadFile(filepath.Join(h.folder, "stderr"))
	if err != nil || !strings.Contains(string(text), "is cut") || !strings.Contains(string(text), fmt.Sprint(old, " ends: <nil>")) {
		t.Fatal(string(text), err)
	}
}

func TestAStopDuringAnUpgradeStopsBoth(t *testing.T) {
	for _, how := range []string{"hang", "slow", "stop new: take"} {
		h := open(t)
		h.stage("b", how)
		h.turn("b")
		old := h.main()
		h.upgrade(old)
		h.sees(old)
		for _, pid := range h.alive() { // as systemd does it
			_ = syscall.Kill(pid, syscall.SIGTERM)
		}
		h.until("none", func() bool { return len(h.alive()) == 0 })
		if how == "hang" {
			if _, err := os.Lstat(h.unix); !os.IsNotExist(err) {
				t.Fatal("the socket's name is left:", err)
			}
		}
	}
}

func TestCurrentIsOneReleaseInAllItsParts(t *testing.T) {
	home := t.TempDir()
	for _, folder := range []string{"releases/1/sub", "releases/10", "releases/2"} {
		if err := os.MkdirAll(filepath.Join(home, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("releases/2", home+"/current"); err != nil {
		t.Fatal(err)
	}
	one, two, now := home+"/releases/1", home+"/releases/2", home+"/current"
	words := func(name string) []string {
		return []string{name, "-c", one + "/c", "--d=" + one, now + "/e", home + "/releases/10/f", "1"}
	}
	want := Program{two + "/bin/x", now + "/bin/x", two + "/sub", []string{"-c", now + "/c", "--d=" + now, now + "/e", home + "/releases/10/f", "1"}}
	for _, name := range []string{one + "/bin/x", now + "/bin/x", "x"} { // pinned, by the link, anything
		if got, err := current(one+"/bin/x", one+"/sub", words(name)); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatal(got, err)
		}
	}
	if got, err := current(one+"/bin/x", "/var", []string{"x"}); err != nil || got.Dir != "/var" {
		t.Fatal(got, err)
	}
	other := filepath.Join(t.TempDir(), "opt") // another way to the same place
	if err := os.Symlink(home, other); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{other + "/releases/1/bin/x", other + "/current/bin/x"} {
		got, err := current(one+"/bin/x", one, []string{name, other + "/releases/1/c", other + "/current/d"})
		want := Program{two + "/bin/x", other + "/current/bin/x", two, []string{other + "/current/c", other + "/current/d"}}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatal(got, err)
		}
	}
	for _, exe := range []string{"/usr/bin/x", "/opt/releases/x"} {
		if got, err := current(exe, "/", []string{"x"}); err == nil {
			t.Fatal(got)
		}
	}
}
