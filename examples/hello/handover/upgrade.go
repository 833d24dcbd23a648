//go:build linux

package handover

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// successor is the process that this one started.
type successor struct {
	command *exec.Cmd
	wire    *net.UnixConn
	lines   *bufio.Reader
	reaped  chan struct{}
}

// why tells the reason against an upgrade now; it is called with mu.
func (h *Handover) why() string {
	switch since := h.status.Since.Format(time.RFC3339); {
	case h.status.State == Starting:
		return fmt.Sprintf("process %d has not said that it is ready", h.status.PID)
	case h.status.State == Upgrading:
		return fmt.Sprintf("an upgrade is under way since %s: process %d has not taken over", since, h.status.Successor)
	case h.status.State == Draining:
		return fmt.Sprintf("process %d serves, and process %d drains since %s", h.status.Successor, h.status.PID, since)
	case h.status.State == Stopping:
		return fmt.Sprintf("process %d ends since %s", h.status.PID, since)
	case h.status.Predecessor != 0:
		return fmt.Sprintf("process %d, which served before, still drains", h.status.Predecessor)
	}
	return ""
}

// Upgrade does what SIGUSR2 does, and tells when the other one serves, or why it does not.
func (h *Handover) Upgrade() error {
	h.mu.Lock()
	if reason := h.why(); reason != "" {
		h.status.LastRefusal = reason
		h.mu.Unlock()
		h.say("upgrade refused: %s", reason)
		return &Refused{reason}
	}
	ctx, abort := context.WithCancel(context.Background())
	defer abort()
	settled := make(chan struct{})
	defer close(settled)
	h.abort, h.settled = abort, settled
	h.enter(Upgrading)
	held := slices.Clone(h.held)
	h.mu.Unlock()
	next, err := h.upgrade(ctx, held)
	if err != nil {
		if h.stays(err) {
			h.say("upgrade failed: %s; process %d serves on", err, os.Getpid())
		}
		return fmt.Errorf("handover: %w", err)
	}
	h.leaves()
	go func() { // alive as long as the wire is
		next.outlives()
		h.lost <- struct{}{}
	}()
	return nil
}

// stays is false where the service was told to end meanwhile.
func (h *Handover) stays(err error) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status.Successor, h.status.LastError = 0, brief(err.Error())
	h.status.Failures++
	if h.status.State == Upgrading && !h.ending {
		h.enter(Serving)
	}
	return !h.ending
}

func (h *Handover) leaves() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status.LastError = ""
	h.status.Upgrades++
	h.enter(Draining)
	h.stop()
	select {
	case h.drains <- struct{}{}:
	default:
	}
}

func (h *Handover) upgrade(ctx context.Context, held []*socket) (*successor, error) {
	h.options.Step("start")
	next, err := h.start(held)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	h.status.Successor = next.command.Process.Pid
	h.mu.Unlock()
	defer context.AfterFunc(ctx, func() { _ = next.wire.SetReadDeadline(time.Unix(1, 0)) })()
	h.options.Step("wait")
	told := false
	err = next.hear(ctx, h.options.ReadyWithin, fmt.Sprintf("ready %d", next.command.Process.Pid))
	if err == nil {
		h.options.Step("go")
		told = true
		if _, err = fmt.Fprint(next.wire, "go\n"); err == nil {
			h.options.Step("told")
			err = next.hear(ctx, h.options.TakeWithin, "taken")
		}
	}
	if err == nil {
		h.options.Step("drain")
		return next, nil
	}
	_, _ = fmt.Fprint(next.wire, "no\n") // for one that is not the process that is killed: the end alone would tell it to serve
	how := next.end(!errors.Is(err, errSilent))
	if told { // it may have said already that it is the main one
		_ = h.options.Notify.Successor(os.Getpid())
	}
	return nil, fmt.Errorf("%s, process %d: %w%s", next.command.Path, next.command.Process.Pid, err, how)
}

var errSilent = errors.New("it did not say")

// hear waits for one line.
func (s *successor) hear(ctx context.Context, within time.Duration, want string) error {
	if err := s.wire.SetReadDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return errors.New("the service ends")
	}
	line, err := s.lines.ReadString('\n')
	word := strings.TrimSuffix(line, "\n")
	why, sorry := strings.CutPrefix(word, "sorry ")
	switch {
	case ctx.Err() != nil:
		return errors.New("the service ends")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w %q within %s", errSilent, want, within)
	case err != nil:
		return fmt.Errorf("it ended before it said %q", want)
	case sorry:
		return errors.New("it says: " + brief(why))
	case word != want:
		return fmt.Errorf("it said %q, not %q", brief(word), want)
	}
	return nil
}

// end kills it, and tells how it ended by itself, if it did: the wire is closed a little before the process is gone.
func (s *successor) end(patient bool) (how string) {
	if patient {
		select {
		case <-s.reaped:
			how = " (" + s.command.ProcessState.String() + ")"
		case <-time.After(time.Second):
		}
	}
	_ = s.command.Process.Kill()
	<-s.reaped
	_ = s.wire.Close()
	return how
}

// outlives returns when the process has ended, however long that is: the time that its last word had is over.
func (s *successor) outlives() {
	_ = s.wire.SetReadDeadline(time.Time{})
	for {
		if _, err := s.lines.ReadByte(); err != nil {
			_ = s.wire.Close()
			return
		}
	}
}

func (h *Handover) start(held []*socket) (*successor, error) {
	program, err := h.options.Program()
	if err != nil {
		return nil, err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	theirs := os.NewFile(uintptr(pair[1]), "wire")
	defer theirs.Close()
	wire, err := wireOf(os.NewFile(uintptr(pair[0]), "wire"))
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(letter{os.Getpid(), held})
	if err != nil {
		return nil, err
	}
	command := exec.Command(program.Path, program.Args...)
	if program.Name != "" {
		command.Args[0] = program.Name
	}
	command.Dir, command.Stdout, command.Stderr = program.Dir, os.Stdout, os.Stderr
	command.Env = append(cleaned(os.Environ()), variable+"="+string(text))
	command.ExtraFiles = []*os.File{theirs}
	for _, one := range held {
		command.ExtraFiles = append(command.ExtraFiles, one.file)
	}
	if err := command.Start(); err != nil {
		_ = wire.Close()
		return nil, err
	}
	next := &successor{command, wire, bufio.NewReader(wire), make(chan struct{})}
	go func() { defer close(next.reaped); _ = command.Wait() }()
	return next, nil
}

// cleaned leaves out what systemd says of one process only.
func cleaned(environment []string) []string {
	return slices.DeleteFunc(environment, func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains([]string{variable, "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "PWD"}, name)
	})
}
