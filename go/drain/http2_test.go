package drain

import (
	"errors"
	"io"
	"net/http"
	"testing"
	"time"
)

func TestAConnectionOfHTTP2IsToldToGoAndItsRequestIsAnswered(t *testing.T) {
	var spoken http.Protocols
	spoken.SetUnencryptedHTTP2(true)
	inside := make(chan struct{}, 2)
	release := make(chan struct{})
	server := &http.Server{Protocols: &spoken, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/long" {
			inside <- struct{}{}
			<-release
		}
		ok(w, r)
	})}
	f := startServer(t, server, Options{Linger: 20 * time.Second})
	client := &http.Client{Transport: &http.Transport{Protocols: &spoken}}
	ask := func(path string) error {
		answer, err := client.Get("http://" + f.address + path)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if _, err := io.Copy(io.Discard, answer.Body); answer.ProtoMajor != 2 || err != nil {
			return errors.Join(errors.New(answer.Proto), err)
		}
		return nil
	}
	long := make(chan error, 1)
	go func() { long <- ask("/long") }()
	<-inside
	f.stop()
	waitUntilRefused(t, f.address)
	if err := ask("/"); err != nil { // on the connection that is open; its answer says that it goes
		t.Fatal(err)
	}
	close(release)
	if err := <-long; err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-f.ended:
		if !errors.Is(err, http.ErrServerClosed) {
			t.Fatal(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the connection stayed")
	}
}
