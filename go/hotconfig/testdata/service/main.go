// Service answers by its configuration: hotconfig's tests drive it from outside.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"gopub.dev/hotconfig"
)

type config struct {
	Greeting string `json:"greeting"`
	Listen   string `json:"listen"`
}

func parse(data []byte) (c config, err error) { return c, json.Unmarshal(data, &c) }

func validate(c config) error {
	switch c.Greeting {
	case "":
		return errors.New("no greeting")
	case "panic":
		panic("a validator that cannot bear it")
	}
	return nil
}

func prepare(_, next config) error {
	if next.Greeting == "unprepared" {
		return errors.New("cannot be made ready")
	}
	return nil
}

func restart(began, now config) (keys []string) {
	if began.Listen != now.Listen {
		keys = append(keys, "listen")
	}
	return keys
}

func main() {
	poll, _ := time.ParseDuration(os.Getenv("POLL"))
	held, err := hotconfig.Open(hotconfig.Options[config]{
		Path: os.Args[1], Parse: parse, Validate: validate, Prepare: prepare, NeedsRestart: restart,
		Limit: 4096, Debounce: 20 * time.Millisecond, Poll: poll,
		Released: len(os.Args) > 2,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	routes := http.NewServeMux()
	routes.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		now := held.Now()
		fmt.Fprintf(w, "%s %d %s", now.Value.Greeting, now.Revision, now.SHA256)
	})
	routes.Handle("/status", held)
	routes.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) { _ = held.Metrics(w) })
	go func() { _ = http.Serve(listener, routes) }()
	fmt.Println(listener.Addr())
	held.Run(ctx)
}
