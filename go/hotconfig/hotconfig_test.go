//go:build linux

package hotconfig

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

type words chan string

func (w words) Reloading() error { w <- "reloading"; return nil }
func (w words) Ready() error     { w <- "ready"; return nil }

func text(data []byte) (string, error) {
	if strings.HasPrefix(string(data), "bad") {
		return "", errors.New(string(data))
	}
	return string(data), nil
}

func TestWhoSignalsIsToldWhenItIsOverAlsoAfterABadFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	write := func(content string) {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("one")
	said := make(words, 100)
	c, err := Open(Options[string]{Path: path, Parse: text, Notify: said, Debounce: time.Hour, Poll: time.Hour,
		Report: func(s Status) { said <- "report " + s.LastError; panic("a reporter that fails") }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); c.Run(ctx) }()
	hangUp := func() {
		t.Helper()
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		if word := <-said; word != "reloading" {
			t.Fatal(word)
		}
	}
	hangUp() // the same file: nothing to report
	if word := <-said; word != "ready" {
		t.Fatal(word)
	}
	for _, one := range []struct{ content, report string }{{"two", ""}, {"bad", "bad"}, {"three", ""}} {
		write(one.content)
		hangUp()
		if word := <-said; !strings.HasPrefix(word, "report ") || !strings.HasSuffix(word, one.report) {
			t.Fatal(word)
		}
		if word := <-said; word != "ready" {
			t.Fatal(word)
		}
	}
	if now := c.Now(); now.Value != "three" || now.Revision != 3 {
		t.Fatal(now)
	}
	stop()
	<-ended
}

func TestWithoutAGoodFirstFileThereIsNoService(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	options := Options[string]{Path: path, Parse: text}
	if _, err := Open(options); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("bad, it is"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(options); err == nil || !strings.Contains(err.Error(), "bad, it is") || !strings.Contains(err.Error(), path) {
		t.Fatal(err)
	}
	if _, err := Open(Options[string]{Path: path}); err == nil {
		t.Fatal("no parser, and no error")
	}
}

func TestAReloadThatIsAskedForAnswersHowItWent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	_ = os.WriteFile(path, []byte("one"), 0o644)
	c, err := Open(Options[string]{Path: path, Parse: text})
	if err != nil {
		t.Fatal(err)
	}
	_ = os.WriteFile(path, []byte("bad "+strings.Repeat("ü", 3000)), 0o644)
	if s, err := c.Reload(); err == nil || s.Successful || len(s.LastError) > 2*longest || s.Failures != 1 {
		t.Fatal(s, err)
	}
	_ = os.WriteFile(path, []byte("two"), 0o644)
	if s, err := c.Reload(); err != nil || !s.Successful || s.Revision != 2 || s.Attempts != 3 {
		t.Fatal(s, err)
	}
}
