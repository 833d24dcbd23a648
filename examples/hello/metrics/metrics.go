// Package metrics exports what a judge of releases reads from a Go service: live heap, collection pauses, goroutines,
// the process, and how long requests took.
package metrics

import (
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

var bounds = []float64{.005, .01, .025, .05, .075, .1, .15, .2, .25, .3, .4, .5, .75, 1, 1.5, 2.5, 5, 10}

// ofRuntime is what the collector does not export unless it is asked: the heap that is in use after a collection, the
// pauses that collections make, and how long goroutines wait for a processor.
var ofRuntime = regexp.MustCompile(`^/(gc/heap/live:bytes|sched/pauses/total/gc:seconds|sched/latencies:seconds)$`)

// Metrics counts requests by status class.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
}

// New starts at zero.
func New() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "http_server_request_duration_seconds", Help: "Time to answer a request.", Buckets: bounds,
		}, []string{"class"}),
	}
	for _, class := range []string{"2xx", "3xx", "4xx", "5xx"} { // there from the start, so that a rate is right
		m.requests.WithLabelValues(class)
	}
	m.registry.MustRegister(
		m.requests,
		collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(collectors.GoRuntimeMetricsRule{Matcher: ofRuntime})),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// Gauge adds one whose value is asked for at each scrape.
func (m *Metrics) Gauge(name, help string, value func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
}

// Measure wraps a handler.
func (m *Metrics) Measure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun, seen := time.Now(), &statusWriter{ResponseWriter: w, status: http.StatusOK}
		defer func() {
			class := strconv.Itoa(seen.status/100) + "xx"
			m.requests.WithLabelValues(class).Observe(time.Since(begun).Seconds())
		}()
		next.ServeHTTP(seen, r)
	})
}

// Exporter answers what Prometheus asks.
func (m *Metrics) Exporter() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap gives http.ResponseController what lies below.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
