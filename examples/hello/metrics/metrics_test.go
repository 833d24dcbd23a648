package metrics

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
)

func text(m *Metrics) string {
	answer := httptest.NewRecorder()
	m.Exporter().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return answer.Body.String()
}

func TestRequestsAreCountedByClassAndDuration(t *testing.T) {
	m := New()
	handler := m.Measure(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bad" {
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	for _, path := range []string{"/", "/", "/bad"} {
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, path, nil))
	}
	m.requests.WithLabelValues("2xx").Observe(99)
	for _, line := range []string{
		`http_server_request_duration_seconds_bucket{class="2xx",le="10"} 2`,
		`http_server_request_duration_seconds_bucket{class="2xx",le="+Inf"} 3`,
		`http_server_request_duration_seconds_count{class="5xx"} 1`,
		`http_server_request_duration_seconds_count{class="4xx"} 0`,
	} {
		if !strings.Contains(text(m), line+"\n") {
			t.Errorf("no line %q in:\n%s", line, text(m))
		}
	}
}

func TestTheRuntimeAndTheProcessAreExported(t *testing.T) {
	runtime.GC()
	m := New()
	m.Gauge("mine", "Mine.", func() float64 { return 7 })
	out := text(m)
	for _, line := range []string{
		"go_gc_heap_live_bytes ", "go_goroutines ", "go_sched_pauses_total_gc_seconds_count ", "process_start_time_seconds ", "mine 7\n",
	} {
		if !strings.Contains(out, "\n"+line) {
			t.Errorf("no %q in:\n%s", line, out)
		}
	}
	if strings.Contains(out, "go_gc_heap_live_bytes 0\n") {
		t.Error("no live heap after a collection")
	}
}
