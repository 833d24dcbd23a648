//go:build !linux

package handover

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"time"
)

const nowhere = "this system hands nothing over"

// Handover hands nothing over here: a service that uses it serves as any other one, and every upgrade is refused.
type Handover struct{ since time.Time }

// New gives what refuses every upgrade.
func New(Options) (*Handover, error) { return &Handover{time.Now()}, nil }

// Listen is net.Listen.
func (h *Handover) Listen(network, address string) (net.Listener, error) {
	return net.Listen(network, address)
}

// Run is serve.
func (h *Handover) Run(ctx context.Context, serve Serve) error {
	return serve(ctx, func() error { return nil })
}

// Upgrade is refused.
func (h *Handover) Upgrade() error { return &Refused{nowhere} }

// Refuse does nothing: no process started this one to take its place.
func (h *Handover) Refuse(error) {}

// Status says that it serves and refuses.
func (h *Handover) Status() Status {
	return Status{PID: os.Getpid(), State: Serving, Since: h.since, Refuses: nowhere}
}

// ServeHTTP answers with the Status as JSON.
func (h *Handover) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(h.Status())
}

// Current knows no release here.
func Current() (Program, error) { return Program{}, errors.New("handover: " + nowhere) }
