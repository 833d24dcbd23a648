// Package metrics exports what a judge of releases reads from a Go service, in Prometheus' text format, with the
// standard library alone: live heap, collection pauses, goroutines, process start and request durations.
package metrics

import (
	"fmt"
	"io"
	"math"
	"net/http"
	runtime "runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"time"
)

var (
	requestBounds = []float64{.005, .01, .025, .05, .075, .1, .15, .2, .25, .3, .4, .5, .75, 1, 1.5, 2.5, 5, 10}
	pauseBounds   = []float64{1e-5, 1e-4, 5e-4, 1e-3, 5e-3, .01, .025, .05, .1, .2, .5, 1}
)

// Metrics counts requests by status class.
type Metrics struct {
	started time.Time
	lock    sync.Mutex
	classes map[string]*histogram
}

type histogram struct {
	counts []uint64 // one per bound, not cumulative; the last one is +Inf
	sum    float64
}

// New starts at zero; started is when the process began.
func New(started time.Time) *Metrics {
	m := &Metrics{started: started, classes: map[string]*histogram{}}
	for _, class := range []string{"2xx", "3xx", "4xx", "5xx"} { // there from the start, so that a rate is right
		m.classes[class] = &histogram{counts: make([]uint64, len(requestBounds)+1)}
	}
	return m
}

// Measure wraps a handler.
func (m *Metrics) Measure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun, seen := time.Now(), &statusWriter{ResponseWriter: w, status: http.StatusOK}
		defer func() { m.observe(seen.status, time.Since(begun).Seconds()) }()
		next.ServeHTTP(seen, r)
	})
}

func (m *Metrics) observe(status int, seconds float64) {
	m.lock.Lock()
	defer m.lock.Unlock()
	h, known := m.classes[strconv.Itoa(status/100)+"xx"]
	if !known {
		return
	}
	index := 0
	for index < len(requestBounds) && seconds > requestBounds[index] {
		index++
	}
	h.counts[index]++
	h.sum += seconds
}

// Exporter answers GET /metrics.
func (m *Metrics) Exporter() http.Handler {
	routes := http.NewServeMux()
	routes.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		m.Write(w)
	})
	return routes
}

// Write writes all metrics.
func (m *Metrics) Write(w io.Writer) {
	samples := []runtime.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/sched/goroutines:goroutines"}, {Name: "/sched/pauses/total/gc:seconds"},
	}
	runtime.Read(samples)
	gauge(w, "go_gc_heap_live_bytes", "Heap memory of live objects after the last collection.", samples[0].Value.Uint64())
	gauge(w, "go_goroutines", "Goroutines.", samples[1].Value.Uint64())
	gauge(w, "process_start_time_seconds", "Start of the process, seconds since the epoch.",
		float64(m.started.UnixMilli())/1000)
	pauses := samples[2].Value.Float64Histogram()
	head(w, "go_sched_pauses_total_gc_seconds", "Stop-the-world pauses of the garbage collector.", "histogram")
	counts, sum := regroup(pauses.Buckets, pauses.Counts, pauseBounds)
	writeHistogram(w, "go_sched_pauses_total_gc_seconds", "", pauseBounds, counts, sum)
	m.lock.Lock()
	defer m.lock.Unlock()
	head(w, "http_server_request_duration_seconds", "Time to answer a request.", "histogram")
	for _, class := range []string{"2xx", "3xx", "4xx", "5xx"} {
		h := m.classes[class]
		writeHistogram(w, "http_server_request_duration_seconds", `class="`+class+`"`, requestBounds, h.counts, h.sum)
	}
}

// regroup puts the runtime's fine buckets into ours. A bucket that crosses one of our bounds counts above it; the sum
// is that of the buckets' lower bounds, since the runtime keeps no exact one.
func regroup(edges []float64, counts []uint64, bounds []float64) ([]uint64, float64) {
	grouped, sum := make([]uint64, len(bounds)+1), 0.0
	for i, count := range counts {
		index := 0
		for index < len(bounds) && edges[i+1] > bounds[index] {
			index++
		}
		grouped[index] += count
		sum += math.Max(0, edges[i]) * float64(count)
	}
	return grouped, sum
}

func writeHistogram(w io.Writer, name, label string, bounds []float64, counts []uint64, sum float64) {
	total, separator := uint64(0), ""
	if label != "" {
		separator = ","
	}
	for i, count := range counts {
		total += count
		bound := "+Inf"
		if i < len(bounds) {
			bound = strconv.FormatFloat(bounds[i], 'g', -1, 64)
		}
		fmt.Fprintf(w, "%s_bucket{%s%sle=%q} %d\n", name, label, separator, bound, total)
	}
	labels := strings.TrimSuffix("{"+label+"}", "{}")
	fmt.Fprintf(w, "%s_sum%s %g\n%s_count%s %d\n", name, labels, sum, name, labels, total)
}

func gauge[T uint64 | float64](w io.Writer, name, help string, value T) {
	head(w, name, help, "gauge")
	fmt.Fprintf(w, "%s %s\n", name, strconv.FormatFloat(float64(value), 'f', -1, 64))
}

func head(w io.Writer, name, help, kind string) {
	fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
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
