package drain

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"
)

// lasting answers as what lasts: /stream as a stream, /socket as a WebSocket; "?polite" ends when the drain begins.
func lasting(inside chan<- string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		end := r.Context().Done()
		if r.URL.RawQuery == "polite" {
			end = Begun(r.Context())
		}
		if r.URL.Path == "/stream" {
			_, _ = io.WriteString(w, "first\n")
			w.(http.Flusher).Flush()
			inside <- "stream"
			<-end
			_, _ = io.WriteString(w, "last\n")
			return
		}
		conn, buffer, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		_, _ = fmt.Fprint(buffer, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		_ = buffer.Flush()
		inside <- "socket"
		if r.URL.RawQuery == "polite" {
			<-end
			_, _ = fmt.Fprint(conn, "going away")
			return
		}
		_, _ = io.Copy(io.Discard, conn)
	})
}

func lastingAsked(t *testing.T, path string, options Options) (rest string, err error, cut error) {
	t.Helper()
	inside := make(chan string, 1)
	f := start(t, lasting(inside), options)
	client := dial(t, f.address)
	if _, err := fmt.Fprintf(client, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path); err != nil {
		t.Fatal(err)
	}
	<-inside
	answer, err := http.ReadResponse(client.reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.stop()
	body := io.Reader(answer.Body)
	if answer.StatusCode == http.StatusSwitchingProtocols {
		body = client.reader
	}
	all, err := io.ReadAll(bufio.NewReader(body))
	return string(all), err, <-f.ended
}

func TestWhatLastsIsToldAndEndsItself(t *testing.T) {
	long := Options{Linger: time.Millisecond, Timeout: time.Minute}
	for path, want := range map[string]string{"/stream?polite": "first\nlast\n", "/socket?polite": "going away"} {
		rest, err, cut := lastingAsked(t, path, long)
		if rest != want || err != nil || !errors.Is(cut, http.ErrServerClosed) {
			t.Errorf("%s: %q %v %v", path, rest, err, cut)
		}
	}
}

func TestWhatLastsLongerIsCutAndCounted(t *testing.T) {
	short := Options{Linger: time.Millisecond, Timeout: 50 * time.Millisecond}
	for path, want := range map[string]Cut{"/stream": {Requests: 1}, "/socket": {Taken: 1}} {
		_, _, err := lastingAsked(t, path, short)
		var cut *Cut
		if !errors.As(err, &cut) || cut.Requests != want.Requests || cut.Taken != want.Taken || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestAStreamOfHTTP2IsCutAndCountedToo(t *testing.T) {
	var spoken http.Protocols
	spoken.SetUnencryptedHTTP2(true)
	inside := make(chan string, 1)
	server := &http.Server{Protocols: &spoken, Handler: lasting(inside)}
	f := startServer(t, server, Options{Linger: time.Millisecond, Timeout: 50 * time.Millisecond})
	client := &http.Client{Transport: &http.Transport{Protocols: &spoken}}
	seen := make(chan error, 1)
	go func() {
		answer, err := client.Get("http://" + f.address + "/stream")
		if err == nil {
			_, err = io.Copy(io.Discard, answer.Body)
			_ = answer.Body.Close()
		}
		seen <- err
	}()
	<-inside
	f.stop()
	var cut *Cut
	if err := <-f.ended; !errors.As(err, &cut) || cut.Requests != 1 {
		t.Fatal(err)
	}
	if err := <-seen; err == nil {
		t.Fatal("its client saw no error")
	}
}

func TestOutsideOfADrainNothingBegins(t *testing.T) {
	if Begun(context.Background()) != nil {
		t.Fatal("it has begun")
	}
}
