// Service hands over, and misbehaves as its release says: handover's tests drive it from outside. The file "how" beside
// the binary has one word a line; "kill STEP", "stop STEP" are about steps.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"gopub.dev/handover"
)

var how string

func is(word string) bool { return strings.Contains("\n"+how+"\n", "\n"+word+"\n") }

// step is where a process dies by its own hand, which no other one could time.
func step(name string) {
	if is("kill " + name) {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	if is("stop " + name) {
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		select {} // another thread may get the signal, and this one go on for a while
	}
	if is("slow") {
		time.Sleep(30 * time.Millisecond)
	}
}

func main() {
	exe, _ := os.Executable()
	release := filepath.Dir(filepath.Dir(exe))
	text, _ := os.ReadFile(filepath.Join(release, "how"))
	how = string(text)
	if is("crash") {
		os.Exit(3)
	}
	step("new: begin")
	options := handover.Options{Step: step}
	if is("soon") {
		options.ReadyWithin, options.TakeWithin, options.DrainWithin = 5*time.Second, 5*time.Second, time.Second
	}
	h, err := handover.New(options)
	if err == nil && is("refuse") {
		err = errors.New("config.yaml:3: no such key\n\"greting\"")
	}
	if err == nil {
		err = run(h, release)
	}
	fmt.Fprintln(os.Stderr, os.Getpid(), "ends:", err)
	if err != nil {
		h.Refuse(err)
		os.Exit(1)
	}
}

func run(h *handover.Handover, release string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return h.Run(ctx, func(ctx context.Context, ready func() error) error {
		server := &http.Server{Handler: routes(h, release)}
		var listeners []net.Listener
		for _, address := range os.Args[2:] {
			network, where, _ := strings.Cut(address, "=")
			listener, err := h.Listen(network, where)
			if err != nil {
				return fmt.Errorf("%s: %w", address, err)
			}
			listeners = append(listeners, listener)
			if network == "tcp" {
				_ = os.WriteFile(filepath.Join(release, "../../../address"), []byte(listener.Addr().String()), 0o644)
			}
		}
		if is("hang") {
			select {}
		}
		if err := ready(); err != nil {
			return err
		}
		if is("fall") {
			go func() { time.Sleep(20 * time.Millisecond); os.Exit(4) }()
		}
		return serve(ctx, server, listeners)
	})
}

// serve drains by hand: connections are closed after their answer, none is kept here.
func serve(ctx context.Context, server *http.Server, listeners []net.Listener) error {
	server.SetKeepAlivesEnabled(false)
	ended := make(chan error, len(listeners))
	for _, listener := range listeners {
		go func() { ended <- server.Serve(listener) }()
	}
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	for _, listener := range listeners {
		_ = listener.Close()
	}
	time.Sleep(100 * time.Millisecond) // what was accepted is read
	limited, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return errors.Join(server.Shutdown(limited))
}

func routes(h *handover.Handover, release string) http.Handler {
	routes := http.NewServeMux()
	routes.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		cwd, _ := os.Getwd()
		fmt.Fprintf(w, "%s %d %s %s", filepath.Base(release), os.Getpid(), filepath.Base(cwd), os.Args[1])
	})
	routes.HandleFunc("/long", func(w http.ResponseWriter, r *http.Request) {
		_ = os.WriteFile(filepath.Join(release, "../../../long"), nil, 0o644)
		for {
			if _, err := os.Stat(r.FormValue("until")); err == nil {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		fmt.Fprint(w, filepath.Base(release))
	})
	routes.Handle("/status", h)
	return routes
}
