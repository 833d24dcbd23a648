package drain

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

type fixture struct {
	address string
	stop    context.CancelFunc
	ended   chan error
}

func start(t *testing.T, handler http.Handler, options Options) *fixture {
	t.Helper()
	return startServer(t, &http.Server{Handler: handler}, options)
}

func startServer(t *testing.T, server *http.Server, options Options) *fixture {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	f := &fixture{address: listener.Addr().String(), stop: stop, ended: make(chan error, 1)}
	go func() { f.ended <- Serve(ctx, server, listener, options) }()
	t.Cleanup(stop)
	return f
}

// raw is a client that never retries: one connection, one request at a time.
type raw struct {
	net.Conn
	reader *bufio.Reader
}

func dial(t *testing.T, address string) *raw {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &raw{conn, bufio.NewReader(conn)}
}

func (c *raw) ask(path string) (*http.Response, error) {
	if _, err := fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", path); err != nil {
		return nil, err
	}
	answer, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return answer, errors.Join(err, answer.Body.Close())
}

func ok(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }

func TestARequestInFlightIsAnsweredAndClosesItsConnection(t *testing.T) {
	inside, release := make(chan struct{}), make(chan struct{})
	f := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(inside)
		<-release
		ok(w, r)
	}), Options{Linger: 10 * time.Millisecond})
	client := dial(t, f.address)
	go func() {
		<-inside
		f.stop()
		time.Sleep(50 * time.Millisecond)
		close(release)
	}()
	answer, err := client.ask("/")
	if err != nil || answer.StatusCode != http.StatusOK || !answer.Close {
		t.Fatalf("answer %v, error %v", answer, err)
	}
	if err := <-f.ended; !errors.Is(err, http.ErrServerClosed) {
		t.Fatal(err)
	}
}

func TestAnOpenConnectionIsAskedToCloseAndANewOneRefused(t *testing.T) {
	f := start(t, http.HandlerFunc(ok), Options{Linger: 10 * time.Second})
	client := dial(t, f.address)
	if answer, err := client.ask("/"); err != nil || answer.Close {
		t.Fatalf("before the drain: answer %v, error %v", answer, err)
	}
	f.stop()
	waitUntilRefused(t, f.address)
	answer, err := client.ask("/")
	if err != nil || answer.StatusCode != http.StatusOK || !answer.Close {
		t.Fatalf("during the drain: answer %v, error %v", answer, err)
	}
	select { // the last connection is gone: nobody waits for the rest of the linger
	case err := <-f.ended:
		if !errors.Is(err, http.ErrServerClosed) {
			t.Fatal(err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("still lingering without connections")
	}
}

func TestNoRequestIsLostUnderLoad(t *testing.T) {
	f := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Millisecond)
		ok(w, r)
	}), Options{Linger: 5 * time.Second})
	var clients sync.WaitGroup
	for range 20 {
		client := dial(t, f.address)
		clients.Add(1)
		go func() {
			defer clients.Done()
			for number := 0; ; number++ {
				answer, err := client.ask("/")
				if err != nil {
					t.Errorf("request %d was lost: %v", number, err)
					return
				}
				if answer.Close {
					return
				}
			}
		}()
	}
	time.Sleep(100 * time.Millisecond)
	f.stop()
	clients.Wait()
	if err := <-f.ended; !errors.Is(err, http.ErrServerClosed) {
		t.Fatal(err)
	}
}

func TestARequestThatNeverEndsIsCutAfterTheTimeout(t *testing.T) {
	inside, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	f := start(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(inside)
		<-release
	}), Options{Linger: time.Millisecond, Timeout: 50 * time.Millisecond})
	client := dial(t, f.address)
	go func() { _, _ = client.ask("/") }()
	<-inside
	f.stop()
	if err := <-f.ended; !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
}

func TestAServerThatCannotServeSaysSo(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	if err := Serve(context.Background(), &http.Server{}, listener, Options{}); err == nil {
		t.Fatal("no error")
	}
}

func waitUntilRefused(t *testing.T, address string) {
	t.Helper()
	for range 200 {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return
		}
		_ = conn.Close()
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("it still listens")
}
