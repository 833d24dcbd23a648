// Package handover lets another binary of a service take its place without closing a listener.
//
// SIGUSR2 starts the program that current names and gives it the listeners. Only when that one has said that it is
// ready, and has been told to go on, does this one drain. Until then, whatever becomes of the other one, this one serves;
// and while it drains, it takes its place back should the other one die.
package handover

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"example.org/hello/sdnotify"
)

// Options may all be left out.
type Options struct {
	Program     func() (Program, error) // what is started; Current by default
	ReadyWithin time.Duration           // for the other one, from its start on; a minute by default
	TakeWithin  time.Duration           // from "go on" until it has; ten seconds by default
	DrainWithin time.Duration           // from then on until this one ends, whatever it still answers; five minutes by default
	Notify      *sdnotify.Notifier      // sdnotify.New() by default; leave its variables to the other one
	Say         func(line string)       // hears what systemd's STATUS= says; writes to standard error by default
	Step        func(name string)       // called before each step, for tests; "new: " stands before those of the other one
}

// Program is what takes a service's place.
type Program struct {
	Path string // of the file
	Name string // what it is called with; Path by default
	Dir  string
	Args []string // without the name
}

// Serve is the part of a service that serves: it asks Listen for its listeners, does all else that can fail, calls
// ready, and serves until ctx is done; then it drains, and returns nil or what went wrong. It is called again, beside
// the one that drains, where the service takes its place back: so it makes its servers anew each time.
type Serve func(ctx context.Context, ready func() error) error

// The states of a process.
const (
	Starting  = "starting"  // it has not said that it is ready
	Serving   = "serving"   // it is the one
	Upgrading = "upgrading" // it is the one, and another one starts
	Draining  = "draining"  // another one is
	Stopping  = "stopping"  // nobody will be
)

// Status is what people and programs are told.
type Status struct {
	PID         int       `json:"pid"`
	State       string    `json:"state"`
	Since       time.Time `json:"since"`
	Predecessor int       `json:"predecessor"` // the process that still drains; 0 when there is none
	Successor   int       `json:"successor"`   // the process that starts or serves; 0 when there is none
	Refuses     string    `json:"refuses"`     // why an upgrade would be refused now; empty when it would not
	LastRefusal string    `json:"last_refusal"`
	LastError   string    `json:"last_error"` // why the last upgrade came to nothing; empty after one that did
	Upgrades    int       `json:"upgrades"`
	Failures    int       `json:"failures"`
}

// Refused is the answer to an upgrade that was not begun.
type Refused struct{ Reason string }

func (r *Refused) Error() string { return "handover: refused: " + r.Reason }

func (o Options) withDefaults() Options {
	if o.Program == nil {
		o.Program = Current
	}
	for limit, usual := range map[*time.Duration]time.Duration{
		&o.ReadyWithin: time.Minute, &o.TakeWithin: 10 * time.Second, &o.DrainWithin: 5 * time.Minute,
	} {
		if *limit <= 0 {
			*limit = usual
		}
	}
	if o.Notify == nil {
		o.Notify = sdnotify.New()
	}
	if o.Say == nil {
		o.Say = func(line string) { fmt.Fprintln(os.Stderr, line) }
	}
	if o.Step == nil {
		o.Step = func(string) {}
	}
	return o
}

// longest bounds what one process says of another: errors like to quote what was not understood.
const longest = 500

func brief(text string) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "\uFFFD")), " ")
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return text
}
