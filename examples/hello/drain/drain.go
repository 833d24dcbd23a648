// Package drain ends an HTTP server without losing a request.
//
// http.Server.Shutdown alone closes idle connections at the very moment when a client may be sending its next
// request on one of them, and that request is lost. So:
//
//  1. stop listening: new connections go elsewhere, open ones go on;
//  2. answer "Connection: close": every client lets go of its connection after its next answer;
//  3. when no connection is left, or after Linger, shut down and wait for what is still being answered, and for
//     connections that were taken over, such as a WebSocket's;
//  4. cut what outlives the Timeout, and say how much that was.
package drain

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Options say how long each part may take; the zero value means the defaults.
type Options struct {
	Linger  time.Duration // for step 2; by default 500 ms
	Timeout time.Duration // for step 3; by default 15 s
}

// Cut is the error of a drain that did not come to its end: what was lost by it, so that nothing is lost unseen. It is
// a context.DeadlineExceeded.
type Cut struct {
	Requests int           // whose answers were not complete, streams among them
	Taken    int           // connections that were taken over (WebSocket) and still open
	After    time.Duration // the Timeout
}

func (c *Cut) Error() string {
	return fmt.Sprintf("drain: %d requests and %d connections that were taken over did not end within %s, and were cut",
		c.Requests, c.Taken, c.After)
}

// Unwrap is what a time that is over is everywhere.
func (c *Cut) Unwrap() error { return context.DeadlineExceeded }

type begun struct{}

// Begun is closed when the drain begins: what lasts (a stream, a WebSocket) ends itself then, and says so to its client
// in its own way. Outside of a request of Serve it is nil, and never ready.
func Begun(ctx context.Context) <-chan struct{} {
	going, _ := ctx.Value(begun{}).(chan struct{})
	return going
}

// Serve serves until ctx is done and then drains. Its error is that of http.Server.Serve where that ended by itself,
// http.ErrServerClosed after a clean drain, or a *Cut when something outlived the Timeout.
func Serve(ctx context.Context, server *http.Server, listener net.Listener, options Options) error {
	if options.Linger <= 0 {
		options.Linger = 500 * time.Millisecond
	}
	if options.Timeout <= 0 {
		options.Timeout = 15 * time.Second
	}
	d := &draining{going: make(chan struct{}), changed: make(chan struct{}, 1), conns: map[net.Conn]http.ConnState{}, taken: map[*taken]bool{}}
	server.Handler = d.polite(server.Handler)
	server.ConnState = d.watch(server.ConnState)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	close(d.going)
	_ = listener.Close()
	<-ended
	lingering, cancel := context.WithTimeout(context.Background(), options.Linger)
	d.wait(lingering, func() bool { return len(d.conns) == 0 })
	cancel()
	return d.end(server, options.Timeout)
}

// end waits for what lasts, and cuts what lasts too long.
func (d *draining) end(server *http.Server, timeout time.Duration) error {
	limited, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	err := server.Shutdown(limited)
	d.wait(limited, func() bool { return len(d.taken) == 0 })
	cut := d.lost()
	if err != nil {
		_ = server.Close()
	}
	if cut.After = timeout; cut.Requests+cut.Taken > 0 {
		return &cut
	}
	return http.ErrServerClosed
}

type draining struct {
	going   chan struct{} // closed when it begins
	changed chan struct{} // holds one
	inside  atomic.Int64  // requests in the handler

	mu    sync.Mutex
	conns map[net.Conn]http.ConnState
	taken map[*taken]bool
}

func (d *draining) isBegun() bool {
	select {
	case <-d.going:
		return true
	default:
		return false
	}
}

func (d *draining) polite(next http.Handler) http.Handler {
	if next == nil {
		next = http.DefaultServeMux
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		word := &lastWord{ResponseWriter: w, draining: d}
		d.inside.Add(1)
		defer word.leave()
		if d.isBegun() {
			word.say()
		}
		next.ServeHTTP(word, r.WithContext(context.WithValue(r.Context(), begun{}, d.going)))
		word.say() // of an answer without a body
	})
}

func (d *draining) watch(next func(net.Conn, http.ConnState)) func(net.Conn, http.ConnState) {
	return func(conn net.Conn, state http.ConnState) {
		d.change(func() {
			if state == http.StateClosed || state == http.StateHijacked {
				delete(d.conns, conn)
			} else {
				d.conns[conn] = state
			}
		})
		if next != nil {
			next(conn, state)
		}
	}
}

func (d *draining) change(do func()) {
	d.mu.Lock()
	do()
	d.mu.Unlock()
	select {
	case d.changed <- struct{}{}:
	default:
	}
}

func (d *draining) wait(ctx context.Context, holds func() bool) {
	for {
		d.mu.Lock()
		yes := holds()
		d.mu.Unlock()
		if yes {
			return
		}
		select {
		case <-d.changed:
		case <-ctx.Done():
			return
		}
	}
}

// lost counts what is cut, and closes what the server does not know any more. A connection may be at work on a request
// that has not come to its handler; and of HTTP/2 one connection has many requests.
func (d *draining) lost() (cut Cut) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, state := range d.conns {
		if state == http.StateActive {
			cut.Requests++
		}
	}
	cut.Requests = max(cut.Requests, int(d.inside.Load()))
	for one := range d.taken {
		cut.Taken++
		_ = one.Conn.Close()
	}
	return cut
}
