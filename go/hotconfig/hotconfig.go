// Package hotconfig gives a service its configuration, and each later one without a restart.
//
// A change is read, limited, parsed, validated, made ready, and only then swapped for the snapshot before. Whatever
// goes wrong on the way leaves that snapshot in force, and says so: in Status, in the metrics, by Report.
package hotconfig

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Options say where the configuration is and what it means. Path and Parse are needed.
type Options[T any] struct {
	Path string // by the way that switches, such as /opt/hello/current/config.yaml: links on it are followed anew each time
	// Released is for a service in a folder of releases, /opt/hello/releases/ID. Once it runs, it reads by
	// /opt/hello/current also where Path names the folder itself, and takes in only what lies beside the very program that
	// runs: the configuration of the next release, which is about to take over, is not for this process.
	Released bool

	Parse    func(data []byte) (T, error)
	Validate func(T) error              // what a parser cannot see; nil means nothing
	Prepare  func(before, next T) error // what can fail is opened here, before the swap; nil means nothing
	// NeedsRestart names the keys that count from the next start only. It compares with what the process began with,
	// so a key that was put back is none.
	NeedsRestart func(began, now T) []string
	Report       func(Status) // after each attempt that changed something or failed; in turn, never two at once

	Limit    int64         // the longest file in bytes; 1 MiB by default
	Debounce time.Duration // how long a folder must be quiet; 200 ms by default
	Poll     time.Duration // how often the file is read without any event; 15 s by default

	// Notify hears of each reload by SIGHUP; the Notifier of gopub.dev/sdnotify is one.
	Notify interface {
		Reloading() error
		Ready() error
	}
}

// Snapshot is one configuration that was taken in. It never changes; a request that asks for it once sees one alone.
type Snapshot[T any] struct {
	Value     T
	Revision  uint64 // 1 for what the process began with; one more with each that was taken in
	SHA256    string // of the file's bytes, in hexadecimal
	AppliedAt time.Time
}

// Config holds the snapshot in force. It is safe for concurrent use.
type Config[T any] struct {
	options Options[T]
	now     atomic.Pointer[Snapshot[T]]
	began   T
	hangups chan os.Signal

	path string       // Path, or the way by current
	ours func() error // why what lies there is not for this process; nil where it is

	turn   sync.Mutex // one attempt at a time
	failed string     // the hash that was refused last; guarded by turn

	seen   sync.Mutex
	status Status // guarded by seen
}

// Open reads the first configuration; without a good one there is no service, and the error says why. From here on
// SIGHUP no longer ends the process, and waits for Run.
func Open[T any](options Options[T]) (*Config[T], error) {
	if options.Path == "" || options.Parse == nil {
		return nil, errors.New("hotconfig: no Path or no Parse")
	}
	if options.Limit <= 0 {
		options.Limit = 1 << 20
	}
	if options.Debounce <= 0 {
		options.Debounce = 200 * time.Millisecond
	}
	if options.Poll <= 0 {
		options.Poll = 15 * time.Second
	}
	c := &Config[T]{options: options, path: options.Path, ours: func() error { return nil }, hangups: make(chan os.Signal, 1)}
	data, err := readStable(options.Path, options.Limit, options.Debounce)
	if err != nil {
		return nil, err
	}
	value, err := c.understand(data)
	if err != nil {
		return nil, err
	}
	if options.Released {
		c.follow()
	}
	c.began = value
	first := &Snapshot[T]{Value: value, Revision: 1, SHA256: hashOf(data), AppliedAt: time.Now()}
	c.now.Store(first)
	c.status = Status{
		Path: c.path, Revision: 1, SHA256: first.SHA256, AppliedAt: first.AppliedAt, RestartRequired: []string{},
		Successful: true, AttemptedAt: first.AppliedAt, AttemptedSHA256: first.SHA256, Attempts: 1, Watching: "nothing yet",
	}
	signal.Notify(c.hangups, syscall.SIGHUP)
	return c, nil
}

// Now is the snapshot in force.
func (c *Config[T]) Now() *Snapshot[T] { return c.now.Load() }

// Reload takes in what the file says now, whether it changed or not, and tells how that went.
func (c *Config[T]) Reload() (Status, error) {
	err := c.attempt(true)
	return c.Status(), err
}

// Run watches until ctx is done.
func (c *Config[T]) Run(ctx context.Context) {
	defer signal.Stop(c.hangups)
	watched := c.watch()
	defer watched.close()
	tick := time.NewTicker(c.options.Poll)
	defer tick.Stop()
	look := func() {
		c.watching(watched.arm()) // before it is read: what changes afterwards is another event
		if errors.Is(c.attempt(false), errUnsettled) {
			watched.poke()
		}
	}
	look() // what changed since Open
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.hangups:
			c.watching(watched.arm())
			c.hangUp()
		case <-tick.C:
			look()
		case <-watched.events:
			if c.quiet(ctx, watched) {
				look()
			}
		}
	}
}

func (c *Config[T]) watch() *watcher {
	watched, err := newWatcher(c.path)
	c.watching(err)
	watched.why = err
	return watched
}

// watching keeps what people are told of how changes are seen.
func (c *Config[T]) watching(err error) {
	c.seen.Lock()
	defer c.seen.Unlock()
	c.status.Watching = "inotify"
	if err != nil {
		c.status.Watching = "every " + c.options.Poll.String() + ": " + err.Error()
	}
}

// quiet waits until nothing has happened for a while, but not for ever: who writes all the time is read in between.
func (c *Config[T]) quiet(ctx context.Context, watched *watcher) bool {
	limit := time.NewTimer(10 * c.options.Debounce)
	defer limit.Stop()
	for {
		pause := time.NewTimer(c.options.Debounce)
		select {
		case <-watched.events:
			pause.Stop()
			continue
		case <-c.hangups:
			pause.Stop()
			c.hangUp()
			continue
		case <-ctx.Done():
			pause.Stop()
			return false
		case <-limit.C:
			pause.Stop()
		case <-pause.C:
		}
		return true
	}
}

func (c *Config[T]) hangUp() {
	if c.options.Notify != nil {
		_ = c.options.Notify.Reloading()
		defer func() { _ = c.options.Notify.Ready() }() // also when the file was refused: the service does its work
	}
	_ = c.attempt(true)
}

func hashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
