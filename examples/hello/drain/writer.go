package drain

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// lastWord lets a request that began before the drain, and is answered during it, close its connection, too. It has what
// handlers ask a ResponseWriter for by its type.
type lastWord struct {
	http.ResponseWriter
	draining *draining
	said     bool
	left     bool // it counts as a request no more
}

func (w *lastWord) WriteHeader(status int) {
	if status >= http.StatusOK { // another one follows those below
		w.say()
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *lastWord) Write(data []byte) (int, error) {
	w.say()
	return w.ResponseWriter.Write(data)
}

// ReadFrom lets files go out without a copy.
func (w *lastWord) ReadFrom(source io.Reader) (int64, error) {
	w.say()
	return io.Copy(w.ResponseWriter, source)
}

// Flush is http.Flusher.
func (w *lastWord) Flush() { _ = w.FlushError() }

// FlushError is what http.ResponseController asks for.
func (w *lastWord) FlushError() error {
	w.say()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Hijack is http.Hijacker. The drain waits for the connection's Close.
func (w *lastWord) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffer, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	w.leave()
	w.said = true
	one := &taken{conn, w.draining}
	w.draining.change(func() { w.draining.taken[one] = true })
	return one, buffer, nil
}

// Unwrap gives http.ResponseController what lies below (deadlines, full duplex).
func (w *lastWord) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *lastWord) say() {
	if !w.said && w.draining.isBegun() {
		w.Header().Set("Connection", "close")
	}
	w.said = true
}

func (w *lastWord) leave() {
	if !w.left {
		w.draining.inside.Add(-1)
	}
	w.left = true
}

// taken is a connection that a handler took over.
type taken struct {
	net.Conn
	draining *draining
}

// NetConn is the connection itself.
func (t *taken) NetConn() net.Conn { return t.Conn }

func (t *taken) Close() error {
	t.draining.change(func() { delete(t.draining.taken, t) })
	return t.Conn.Close()
}
