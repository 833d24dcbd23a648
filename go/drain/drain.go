// Package drain ends an HTTP server without losing a request.
//
// http.Server.Shutdown alone closes idle connections at the very moment when a client may be sending its next
// request on one of them, and that request is lost. So:
//
//  1. stop listening: new connections go elsewhere, open ones go on;
//  2. answer "Connection: close": every client lets go of its connection after its next answer;
//  3. when no connection is left, or after Linger, shut down and wait for what is still being answered.
package drain

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// Options say how long each part may take; the zero value means the defaults.
type Options struct {
	Linger  time.Duration // for step 2; by default 500 ms
	Timeout time.Duration // for step 3; by default 15 s
}

// Serve serves until ctx is done and then drains. Its error is that of http.Server.Serve where that ended by itself,
// http.ErrServerClosed after a clean drain, or context.DeadlineExceeded when requests outlived the Timeout.
func Serve(ctx context.Context, server *http.Server, listener net.Listener, options Options) error {
	if options.Linger <= 0 {
		options.Linger = 500 * time.Millisecond
	}
	if options.Timeout <= 0 {
		options.Timeout = 15 * time.Second
	}
	d := &draining{empty: make(chan struct{}, 1)}
	server.Handler = d.polite(server.Handler)
	server.ConnState = d.watch(server.ConnState)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	d.begun.Store(true)
	_ = listener.Close()
	<-ended
	d.wait(options.Linger)
	limited, cancel := context.WithTimeout(context.Background(), options.Timeout)
	defer cancel()
	if err := server.Shutdown(limited); err != nil {
		_ = server.Close()
		return err
	}
	return http.ErrServerClosed
}

type draining struct {
	begun atomic.Bool
	open  atomic.Int64
	empty chan struct{}
}

func (d *draining) polite(next http.Handler) http.Handler {
	if next == nil {
		next = http.DefaultServeMux
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !d.begun.Load() {
			next.ServeHTTP(&lastWord{ResponseWriter: w, draining: d}, r)
			return
		}
		w.Header().Set("Connection", "close")
		next.ServeHTTP(w, r)
	})
}

func (d *draining) watch(next func(net.Conn, http.ConnState)) func(net.Conn, http.ConnState) {
	return func(conn net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			d.open.Add(1)
		case http.StateClosed, http.StateHijacked:
			if d.open.Add(-1) == 0 {
				select {
				case d.empty <- struct{}{}:
				default:
				}
			}
		}
		if next != nil {
			next(conn, state)
		}
	}
}

func (d *draining) wait(linger time.Duration) {
	limit := time.NewTimer(linger)
	defer limit.Stop()
	for d.open.Load() > 0 {
		select {
		case <-d.empty:
		case <-limit.C:
			return
		}
	}
}

// lastWord lets a request that began before the drain, and is answered during it, close its connection, too.
type lastWord struct {
	http.ResponseWriter
	draining *draining
	said     bool
}

func (w *lastWord) WriteHeader(status int) {
	w.say()
	w.ResponseWriter.WriteHeader(status)
}

func (w *lastWord) Write(data []byte) (int, error) {
	w.say()
	return w.ResponseWriter.Write(data)
}

// Unwrap gives http.ResponseController what lies below (flushing, hijacking, deadlines).
func (w *lastWord) Unwrap() http.ResponseWriter {
	w.say()
	return w.ResponseWriter
}

func (w *lastWord) say() {
	if !w.said && w.draining.begun.Load() {
		w.Header().Set("Connection", "close")
	}
	w.said = true
}
