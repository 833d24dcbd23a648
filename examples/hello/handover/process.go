//go:build linux

package handover

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// Handover is a process' side of it, first one or later one. It is safe for concurrent use.
type Handover struct {
	options Options
	signals chan os.Signal
	before  *predecessor // nil for a process that nobody handed anything to

	mu      sync.Mutex
	status  Status
	held    []*socket
	stop    context.CancelFunc // ends the part that serves
	abort   context.CancelFunc // ends an upgrade under way
	settled chan struct{}      // closed when no upgrade is under way
	ending  bool               // the service was told to stop

	drains chan struct{} // another process has taken over
	lost   chan struct{} // that one has died
}

// New takes what a predecessor hands over, or systemd's socket units. From here on SIGUSR2 no longer ends the process,
// so let it be among the first things that main does.
func New(options Options) (*Handover, error) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR2)
	settled := make(chan struct{})
	close(settled)
	h := &Handover{
		options: options.withDefaults(), signals: signals, settled: settled,
		drains: make(chan struct{}, 1), lost: make(chan struct{}, 1),
		status: Status{PID: os.Getpid(), State: Starting, Since: time.Now()},
	}
	if err := h.inherit(); err != nil || h.before != nil {
		return h, err
	}
	return h, h.activated()
}

// Status tells how this process stands.
func (h *Handover) Status() Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	status := h.status
	status.Refuses = h.why()
	return status
}

// ServeHTTP answers with the Status as JSON.
func (h *Handover) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(h.Status())
}

// enter is called with mu.
func (h *Handover) enter(state string) { h.status.State, h.status.Since = state, time.Now() }

// say tells people and programs; never call it with mu, systemd may be slow. The time tells a refusal from the one
// before, which may have had the same reason.
func (h *Handover) say(format string, words ...any) {
	line := "handover: " + time.Now().UTC().Format("2006-01-02T15:04:05.000Z") + " " + brief(fmt.Sprintf(format, words...))
	h.options.Say(line)
	_ = h.options.Notify.Status(line)
}
