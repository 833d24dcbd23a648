// Hello is a small HTTP service as gopub releases them: it says which version answers, hands over its listeners, drains
// politely, takes in its configuration without a restart, exports its metrics, and logs JSON.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"example.org/hello/drain"
	"example.org/hello/handover"
	"example.org/hello/hotconfig"
	"example.org/hello/metrics"
	"example.org/hello/sdnotify"
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
	handed, err := handover.New(handover.Options{Say: func(line string) { log.Info(line) }})
	if err != nil {
		return err
	}
	err = start(handed, *configFile, *addr, log)
	handed.Refuse(err) // heard where this process should have taken over, and did not
	return err
}

// start reads what the service needs and serves until SIGTERM, or until another process does.
func start(handed *handover.Handover, configFile, addr string, log *slog.Logger) error {
	behaviour, err := ReadBehaviour(embedded)
	if err != nil {
		return err
	}
	s := &service{handed: handed, behaviour: behaviour, measured: metrics.New(), workers: newWorkers(), log: log}
	s.now = func() Config { return Defaults }
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if configFile != "" {
		held, err := open(configFile, s.workers, log)
		if err != nil {
			return err
		}
		s.hold(held)
		go held.Run(ctx)
	}
	s.began = s.now()
	if err := resize(s.workers, s.began); err != nil {
		return err
	}
	if addr != "" {
		s.began.Listen = addr
	}
	err = handed.Run(ctx, s.serve)
	log.Info("stopped", "version", version)
	return err
}

// open reads the first configuration, and says later in the log how each further one was taken. Workers that cannot be
// had are a reason to refuse one.
func open(path string, workers *hotconfig.Pool[scratch], log *slog.Logger) (*hotconfig.Config[Config], error) {
	return hotconfig.Open(hotconfig.Options[Config]{
		Path: path, Released: true, Parse: ParseConfig, Validate: Config.Validate, NeedsRestart: NeedsRestart, Notify: sdnotify.New(),
		Prepare: func(before, next Config) error {
			if before.Workers == next.Workers {
				return nil
			}
			return resize(workers, next)
		},
		Report: func(s hotconfig.Status) {
			if !s.Successful {
				log.Error("configuration refused", "error", s.LastError, "revision", s.Revision)
				return
			}
			log.Info("configuration taken in", "revision", s.Revision, "sha256", s.SHA256, "restart_required", s.RestartRequired)
		},
	})
}

func newHandler(
	now func() Config, behaviour Behaviour, measured *metrics.Metrics, workers *hotconfig.Pool[scratch], log *slog.Logger,
) http.Handler {
	traffic := http.NewServeMux()
	traffic.HandleFunc("/work", func(w http.ResponseWriter, r *http.Request) { work(w, r, workers) })
	traffic.HandleFunc("GET /events", events)
	traffic.HandleFunc("/{$}", func(w http.ResponseWriter, r *http.Request) { greet(w, r, now(), behaviour) })
	routes := http.NewServeMux()
	routes.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	routes.Handle("/", measured.Measure(Misbehave(behaviour, log, Misconfigured(now, traffic))))
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

// scratch is what one worker needs.
type scratch []int

func newWorkers() *hotconfig.Pool[scratch] { return hotconfig.NewPool[scratch](nil) }

// resize brings the workers of a configuration in before those of the one before are let go.
func resize(workers *hotconfig.Pool[scratch], config Config) error {
	return workers.Replace(config.Workers, func() (scratch, error) { return make(scratch, 50_000), nil })
}

// work takes some processor time and memory, as real requests do; it waits until a worker is free.
func work(w http.ResponseWriter, r *http.Request, workers *hotconfig.Pool[scratch]) {
	numbers, giveBack, err := workers.Take(r.Context())
	if err != nil {
		return // the client is gone
	}
	defer giveBack()
	for i := range numbers {
		numbers[i] = i * i % 7919
	}
	sum := 0
	for _, number := range numbers {
		sum += number
	}
	fmt.Fprintf(w, "%d\n", sum)
}

// events is a stream that lasts: ten events a second, until its client goes or this process is to end, which it says.
func events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	out, tick := http.NewResponseController(w), time.NewTicker(100*time.Millisecond)
	defer tick.Stop()
	for number := 0; ; number++ {
		fmt.Fprintf(w, "data: %d %s\n\n", number, version)
		if err := out.Flush(); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		case <-drain.Begun(r.Context()):
			fmt.Fprint(w, "event: end\ndata: ask again\n\n")
			return
		}
	}
}
