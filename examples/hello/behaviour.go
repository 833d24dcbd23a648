package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

//go:embed behaviour.json
var embedded []byte

// Behaviour says how this release behaves. It is compiled in, so a bad release is a change of the source: of
// behaviour.json, and of nothing else. Whatever is wrong begins only under traffic; health checks do not count.
type Behaviour struct {
	Version        string  `json:"version"`
	ErrorRate      float64 `json:"error_rate"`       // share of requests answered with 500
	CutRate        float64 `json:"cut_rate"`         // share of requests whose answer ends in its middle
	ExtraLatencyMs int     `json:"extra_latency_ms"` // added to every answer
	AfterRequests  int64   `json:"after_requests"`   // good until that many requests were answered
	CrashAfterS    float64 `json:"crash_after_s"`    // exits this long after it began to misbehave; 0: never
	LeakMbPerMin   float64 `json:"leak_mb_per_min"`  // memory kept for ever
	LogErrors      bool    `json:"log_errors"`       // an ERROR line for every 500
}

// ReadBehaviour reads the JSON and refuses what makes no sense.
func ReadBehaviour(data []byte) (Behaviour, error) {
	var b Behaviour
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&b); err != nil {
		return b, fmt.Errorf("behaviour.json: %w", err)
	}
	rates := min(b.ErrorRate, b.CutRate) >= 0 && max(b.ErrorRate, b.CutRate) <= 1
	if !rates || b.ExtraLatencyMs < 0 || b.CrashAfterS < 0 || b.LeakMbPerMin < 0 {
		return b, errors.New("behaviour.json: error_rate and cut_rate are from 0 to 1, the other numbers are not negative")
	}
	return b, nil
}

// Misbehave wraps a handler so that it behaves as b says.
func Misbehave(b Behaviour, log *slog.Logger, next http.Handler) http.Handler {
	return &misbehaving{Behaviour: b, log: log, next: next, exit: os.Exit}
}

// Misconfigured is the same for what the configuration says at this moment.
func Misconfigured(now func() Config, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		config := now()
		time.Sleep(time.Duration(config.ExtraLatencyMs) * time.Millisecond)
		if config.ErrorRate > 0 && rand.Float64() < config.ErrorRate {
			http.Error(w, "context deadline exceeded", http.StatusInternalServerError)
			return
		}
		next.ServeHTTP(w, r)
	})
}

type misbehaving struct {
	Behaviour
	log      *slog.Logger
	next     http.Handler
	exit     func(int)
	requests atomic.Int64
	begun    sync.Once
	leakLock sync.Mutex
	leaked   [][]byte
}

func (m *misbehaving) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if m.requests.Add(1) <= m.AfterRequests {
		m.next.ServeHTTP(w, r)
		return
	}
	m.begun.Do(m.begin)
	time.Sleep(time.Duration(m.ExtraLatencyMs) * time.Millisecond)
	if m.ErrorRate > 0 && rand.Float64() < m.ErrorRate {
		if m.LogErrors {
			m.log.Error("order lookup failed", "error", "context deadline exceeded", "path", r.URL.Path)
		}
		http.Error(w, "context deadline exceeded", http.StatusInternalServerError)
		return
	}
	if m.CutRate > 0 && rand.Float64() < m.CutRate {
		cut(w)
	}
	m.next.ServeHTTP(w, r)
}

// cut promises more than it writes, and closes: the status is 200, the log is silent.
func cut(w http.ResponseWriter) {
	w.Header().Set("Content-Length", "5000")
	_, _ = w.Write(bytes.Repeat([]byte("x"), 2500))
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// begin starts what goes wrong by the clock rather than by the request.
func (m *misbehaving) begin() {
	if m.CrashAfterS > 0 {
		time.AfterFunc(time.Duration(m.CrashAfterS*float64(time.Second)), func() {
			m.log.Error("panic: invalid memory address or nil pointer dereference")
			m.exit(2)
		})
	}
	if m.LeakMbPerMin > 0 {
		go m.leak()
	}
}

func (m *misbehaving) leak() {
	const every = time.Second
	size := int(m.LeakMbPerMin * (1 << 20) * every.Minutes())
	for range time.Tick(every) {
		block := bytes.Repeat([]byte{1}, size) // written to, so that it is really there
		m.leakLock.Lock()
		m.leaked = append(m.leaked, block)
		m.leakLock.Unlock()
	}
}
