//go:build linux

package hotconfig

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheLinkTakesThePlaceOfAReleasesFolder(t *testing.T) {
	home := t.TempDir()
	for from, want := range map[string]string{
		home + "/releases/a/etc/c.yaml": home + "/current/etc/c.yaml",
		home + "/current/c.yaml":        home + "/current/c.yaml",
		"/etc/c.yaml":                   "/etc/c.yaml",
		"/srv/releases/a/c.yaml":        "/srv/releases/a/c.yaml", // no link there
		"/srv/releases/c.yaml":          "/srv/releases/c.yaml",
	} {
		if err := os.MkdirAll(home+"/releases/a", 0o755); err != nil {
			t.Fatal(err)
		}
		_ = os.Symlink("releases/a", home+"/current")
		if got := byCurrent(from); got != want {
			t.Errorf("%s: %s, not %s", from, got, want)
		}
	}
	t.Chdir(home + "/releases/a")
	if got := byCurrent("c.yaml"); got != home+"/current/c.yaml" {
		t.Error(got)
	}
	t.Chdir(home + "/current") // as the shell names it
	if got := byCurrent("c.yaml"); got != home+"/current/c.yaml" {
		t.Error(got)
	}
}

func TestAProcessTakesInWhatIsForItsProgramAlone(t *testing.T) {
	h := lay(t)
	for release, tail := range map[string]string{"a": "", "b": "", "c": "another program"} {
		text, err := os.ReadFile(program)
		h.do(err)
		h.stage(release, `{"greeting": "`+release+`"}`)
		h.do(os.Mkdir(filepath.Join(h.home, "releases", release, "bin"), 0o755))
		h.do(os.WriteFile(filepath.Join(h.home, "releases", release, "bin", "x"), append(text, tail...), 0o755))
	}
	folder := filepath.Join(h.home, "releases", "a")
	h.start(exec.Command(filepath.Join(folder, "bin", "x"), filepath.Join(folder, "config.json"), "released"), never)
	h.greets("a")
	h.turn("b") // the same program, other bytes of the file
	h.greets("b")
	h.turn("c")
	s := h.until("it waits", func(s Status) bool { return strings.Contains(s.Waiting, "another program") })
	if !s.Successful || s.Revision != 2 || s.Failures != 0 || !strings.HasPrefix(h.get("/"), "b ") {
		t.Fatalf("%+v", s)
	}
	h.turn("b") // the switch came to nothing
	h.until("nothing waits", func(s Status) bool { return s.Waiting == "" && s.Revision == 2 })
	h.turn("a")
	h.until("a is taken in", func(s Status) bool { return s.Revision == 3 && s.Waiting == "" })
	h.do(os.RemoveAll(filepath.Join(h.home, "releases", "b")))
	h.turn("b") // leads nowhere
	h.until("refused", func(s Status) bool { return !s.Successful })
	if text := h.get("/"); !strings.HasPrefix(text, "a ") {
		t.Fatal(text)
	}
}
