// Hello is a small HTTP service as gopub releases them: it says which version answers, drains politely, exports its
// metrics, logs JSON, and checks its configuration on request.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"example.org/hello/drain"
	"example.org/hello/metrics"
)

// version is set by the linker (build.ldflags in gopub.yaml).
var version = "dev"

func main() {
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	if err := run(os.Args[1:], log); err != nil {
		log.Error("cannot go on", "error", err.Error())
		os.Exit(1)
	}
}

func run(args []string, log *slog.Logger) error {
	flags := flag.NewFlagSet("hello", flag.ContinueOnError)
	configFile := flags.String("config", "", "the configuration `file`")
	check := flags.String("check-config", "", "only check that `file`")
	addr := flags.String("addr", os.Getenv("ADDR"), "listen here (default: $ADDR, then the configuration)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *check != "" {
		_, err := ReadConfig(*check)
		return err
	}
	config := Defaults
	if *configFile != "" {
		read, err := ReadConfig(*configFile)
		if err != nil {
			return err
		}
		config = read
	}
	if *addr != "" {
		config.Listen = *addr
	}
	behaviour, err := ReadBehaviour(embedded)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	return serve(ctx, config, behaviour, log)
}

// serve answers until ctx is done. A port that cannot be had is an error at once, for the metrics, too.
func serve(ctx context.Context, config Config, behaviour Behaviour, log *slog.Logger) error {
	measured := metrics.New(time.Now())
	side, err := net.Listen("tcp", config.Metrics)
	if err != nil {
		return err
	}
	exporter := &http.Server{Handler: measured.Exporter(), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = exporter.Serve(side) }()
	defer exporter.Close()
	listener, err := net.Listen("tcp", config.Listen)
	if err != nil {
		return err
	}
	log.Info("listening", "version", version, "listen", listener.Addr().String(), "metrics", side.Addr().String())
	server := &http.Server{
		Handler:           newHandler(config, behaviour, measured, log),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       120 * time.Second,
	}
	err = drain.Serve(ctx, server, listener, drain.Options{})
	log.Info("stopped", "version", version)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func newHandler(config Config, behaviour Behaviour, measured *metrics.Metrics, log *slog.Logger) http.Handler {
	traffic := http.NewServeMux()
	traffic.HandleFunc("/work", work)
	traffic.HandleFunc("/{$}", func(w http.ResponseWriter, r *http.Request) { greet(w, r, config, behaviour) })
	routes := http.NewServeMux()
	routes.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	routes.Handle("/", measured.Measure(Misbehave(behaviour, log, traffic)))
	return routes
}

// greet says who answers; a body that was sent is read to its end and its length told.
func greet(w http.ResponseWriter, r *http.Request, config Config, behaviour Behaviour) {
	length, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	host, _ := os.Hostname()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"greeting": config.Greeting, "version": version, "behaviour": behaviour.Version, "host": host,
		"method": r.Method, "received": length,
	})
}

// work takes some processor time and memory, as real requests do.
func work(w http.ResponseWriter, _ *http.Request) {
	numbers := make([]int, 50_000)
	for i := range numbers {
		numbers[i] = i * i % 7919
	}
	sum := 0
	for _, number := range numbers {
		sum += number
	}
	fmt.Fprintf(w, "%d\n", sum)
}
