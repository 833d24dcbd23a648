package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"example.org/hello/drain"
	"example.org/hello/handover"
	"example.org/hello/hotconfig"
	"example.org/hello/metrics"
)

// service is what one process serves.
type service struct {
	handed    *handover.Handover
	held      *hotconfig.Config[Config] // nil without a file
	now       func() Config             // what counts at this moment
	began     Config                    // its addresses count until the process ends
	behaviour Behaviour
	measured  *metrics.Metrics
	workers   *hotconfig.Pool[scratch]
	log       *slog.Logger
}

// hold answers by a file from now on, and tells how it is taken in.
func (s *service) hold(held *hotconfig.Config[Config]) {
	s.held, s.now = held, func() Config { return held.Now().Value }
	s.measured.Gauge("config_last_reload_successful", "Whether the last attempt to take in a configuration succeeded.", func() float64 {
		if held.Status().Successful {
			return 1
		}
		return 0
	})
	s.measured.Gauge("config_revision", "How many configurations were taken in since the start.", func() float64 {
		return float64(held.Now().Revision)
	})
	s.measured.Gauge("config_restart_required", "How many keys count from the next start only.", func() float64 {
		return float64(len(held.Status().RestartRequired))
	})
}

// serve answers until ctx is done, and drains. A port that cannot be had is an error at once, for the metrics, too.
func (s *service) serve(ctx context.Context, ready func() error) error {
	side, err := s.handed.Listen("tcp", s.began.Metrics)
	if err != nil {
		return err
	}
	listener, err := s.handed.Listen("tcp", s.began.Listen)
	if err != nil {
		return err
	}
	exporter := &http.Server{Handler: s.house(), ReadHeaderTimeout: 5 * time.Second}
	server := &http.Server{
		Handler:           newHandler(s.now, s.behaviour, s.measured, s.workers, s.log),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       120 * time.Second,
	}
	if err := ready(); err != nil {
		return err
	}
	s.log.Info("listening", "version", version, "listen", listener.Addr().String(), "metrics", side.Addr().String())
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- drain.Serve(ctx, exporter, side, drain.Options{}) }()
	err = drain.Serve(ctx, server, listener, drain.Options{})
	stop()
	<-ended
	var cut *drain.Cut
	if errors.As(err, &cut) { // it ends as it was told to; who was cut is told
		s.log.Warn("the drain cut what lasted", "requests", cut.Requests, "connections", cut.Taken, "after", cut.After.String())
		return nil
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// house is the port for who runs the service: its errors may quote what they did not understand.
func (s *service) house() http.Handler {
	routes := http.NewServeMux()
	routes.Handle("GET /metrics", s.measured.Exporter())
	routes.Handle("GET /-/handover", s.handed)
	if s.held != nil {
		routes.Handle("GET /-/config", s.held)
	}
	return routes
}
