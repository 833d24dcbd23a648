package metrics

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"
)

func text(m *Metrics) string {
	var out strings.Builder
	m.Write(&out)
	return out.String()
}

func TestRequestsAreCountedByClassAndDuration(t *testing.T) {
	m := New(time.Unix(1700000000, 0))
	handler := m.Measure(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bad" {
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	for _, path := range []string{"/", "/", "/bad"} {
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, path, nil))
	}
	m.observe(200, 0.2)
	m.observe(200, 99)
	for _, line := range []string{
		`http_server_request_duration_seconds_bucket{class="2xx",le="0.15"} 2`,
		`http_server_request_duration_seconds_bucket{class="2xx",le="0.2"} 3`,
		`http_server_request_duration_seconds_bucket{class="2xx",le="+Inf"} 4`,
		`http_server_request_duration_seconds_count{class="5xx"} 1`,
		`http_server_request_duration_seconds_count{class="4xx"} 0`,
		"process_start_time_seconds 1700000000",
	} {
		if !strings.Contains(text(m), line+"\n") {
			t.Errorf("no line %q in:\n%s", line, text(m))
		}
	}
}

func TestTheRuntimeIsExported(t *testing.T) {
	runtime.GC()
	out := text(New(time.Now()))
	for _, line := range []string{"go_gc_heap_live_bytes ", "go_goroutines ", "go_sched_pauses_total_gc_seconds_count "} {
		if !strings.Contains(out, "\n"+line) {
			t.Errorf("no %q in:\n%s", line, out)
		}
	}
	if strings.Contains(out, "go_gc_heap_live_bytes 0\n") {
		t.Error("no live heap after a collection")
	}
}

func TestRuntimeBucketsAreRegroupedWithoutLosingACount(t *testing.T) {
	edges := []float64{math.Inf(-1), 0, 0.1, 0.3, math.Inf(1)}
	counts, sum := regroup(edges, []uint64{1, 2, 3, 4}, []float64{0.1, 0.2})
	if got := fmt.Sprint(counts); got != "[3 0 7]" {
		t.Error(got)
	}
	if math.Abs(sum-(3*0.1+4*0.3)) > 1e-9 {
		t.Error(sum)
	}
}
