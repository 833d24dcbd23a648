//go:build linux

package handover

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"time"
)

// end is how a part of Run ended.
type end struct {
	part int
	err  error
}

// Run serves until ctx is done, or another process serves and this one has drained, for DrainWithin at most. Its error
// is that of Serve. What main does next is to end.
func (h *Handover) Run(ctx context.Context, serve Serve) error {
	defer signal.Stop(h.signals)
	ended, asked := make(chan end, 1), ctx.Done()
	latest, running := 0, 0
	begin := func() {
		inner, stop := context.WithCancel(context.WithoutCancel(ctx))
		h.mu.Lock()
		h.stop = stop
		h.mu.Unlock()
		latest++
		running++
		go func(part int) { ended <- end{part, serve(inner, h.ready)} }(latest)
	}
	var last error
	var limit <-chan time.Time
	for begin(); running > 0; {
		select {
		case <-asked:
			asked = nil
			h.end()
		case <-h.signals:
			go func() { _ = h.Upgrade() }()
		case <-h.drains:
			limit = time.After(h.options.DrainWithin)
		case <-limit:
			if h.cut() {
				return last
			}
		case <-h.lost:
			if h.back() {
				limit = nil
				begin()
			}
		case over := <-ended:
			running--
			if over.err != nil {
				last = over.err
			}
			if over.part == latest { // one that took its place back goes on beside the part that drained
				h.over(over.err)
			}
			if running == 0 && h.orphaned() {
				begin()
			}
		}
	}
	h.release(h.isLast())
	return last
}

// end lets nobody wait in the queue of a service that stops. An upgrade under way comes to nothing, or is over.
func (h *Handover) end() {
	h.mu.Lock()
	h.ending = true
	abort, settled := h.abort, h.settled
	if h.status.State == Starting || h.status.State == Serving {
		h.enter(Stopping)
	}
	h.mu.Unlock()
	if abort != nil {
		abort()
	}
	<-settled
	h.mu.Lock()
	last := h.status.State != Draining
	if last {
		h.enter(Stopping)
	}
	h.mu.Unlock()
	if last {
		_ = h.options.Notify.Stopping()
		h.release(true)
	}
	h.mu.Lock()
	stop := h.stop
	h.mu.Unlock()
	stop()
}

// back tells whether the service takes its place back: the other one died while this one drained.
func (h *Handover) back() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.status.State != Draining || h.ending {
		return false
	}
	h.status.LastError = fmt.Sprintf("process %d took over and died; process %d serves again", h.status.Successor, os.Getpid())
	h.status.Successor = 0
	h.status.Failures++
	h.enter(Serving)
	go h.say("%s", h.status.LastError)
	return true
}

// cut ends what does not end by itself, unless this process is the one again.
func (h *Handover) cut() bool {
	if h.isLast() {
		return false
	}
	h.release(false)
	h.say("process %d drained for %s and is cut", os.Getpid(), h.options.DrainWithin)
	return true
}

// over is what becomes of the end of the part that serves. A service whose part ended by itself is over: what was begun
// for it is, too.
func (h *Handover) over(err error) {
	h.mu.Lock()
	own := h.status.State == Starting || h.status.State == Serving || h.status.State == Upgrading
	h.mu.Unlock()
	if own {
		h.Refuse(err)
		h.end()
	}
}

// orphaned looks once more, at the last moment, whether the other one lives.
func (h *Handover) orphaned() bool {
	select {
	case <-h.lost:
		return h.back()
	default:
		return false
	}
}

func (h *Handover) isLast() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.status.State != Draining
}
