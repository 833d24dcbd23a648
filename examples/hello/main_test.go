package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.org/hello/handover"
	"example.org/hello/metrics"
)

func ask(handler http.Handler, method, path, body string) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest(method, path, strings.NewReader(body)))
	return answer
}

func handlerFor(b Behaviour, log io.Writer) http.Handler {
	workers := newWorkers()
	_ = resize(workers, Defaults)
	return newHandler(func() Config { return Defaults }, b, metrics.New(), workers, slog.New(slog.NewJSONHandler(log, nil)))
}

func TestTheEmbeddedBehaviourIsValid(t *testing.T) {
	if _, err := ReadBehaviour(embedded); err != nil {
		t.Fatal(err)
	}
}

func TestAnImpossibleBehaviourIsRefused(t *testing.T) {
	for _, text := range []string{`{"error_rate": 2}`, `{"extra_latency_ms": -1}`, `{"eror_rate": 0}`, `{`} {
		if _, err := ReadBehaviour([]byte(text)); err == nil {
			t.Errorf("%s was accepted", text)
		}
	}
}

func TestAGoodReleaseAnswers(t *testing.T) {
	handler := handlerFor(Behaviour{Version: "1.0.0"}, io.Discard)
	for _, c := range []struct{ method, path, body, part string }{
		{"GET", "/", "", `"behaviour":"1.0.0"`},
		{"POST", "/", "12345", `"received":5`},
		{"GET", "/work", "", "\n"},
		{"GET", "/healthz", "", "ok"},
	} {
		answer := ask(handler, c.method, c.path, c.body)
		if answer.Code != http.StatusOK || !strings.Contains(answer.Body.String(), c.part) {
			t.Errorf("%s %s: %d %s", c.method, c.path, answer.Code, answer.Body)
		}
	}
	if code := ask(handler, "GET", "/none", "").Code; code != http.StatusNotFound {
		t.Error(code)
	}
}

func TestABadReleaseIsGoodUntilTrafficComes(t *testing.T) {
	var log strings.Builder
	handler := handlerFor(Behaviour{ErrorRate: 1, AfterRequests: 2, LogErrors: true}, &log)
	for range 10 {
		if code := ask(handler, "GET", "/healthz", "").Code; code != http.StatusOK {
			t.Fatalf("a health check got %d", code)
		}
	}
	codes := []int{}
	for range 4 {
		codes = append(codes, ask(handler, "GET", "/", "").Code)
	}
	if codes[0] != 200 || codes[1] != 200 || codes[2] != 500 || codes[3] != 500 {
		t.Error(codes)
	}
	if strings.Count(log.String(), `"level":"ERROR"`) != 2 {
		t.Error(log.String())
	}
}

func TestAnAnswerIsCutInItsMiddle(t *testing.T) {
	server := httptest.NewServer(handlerFor(Behaviour{CutRate: 1}, io.Discard))
	defer server.Close()
	answer, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if answer.StatusCode != http.StatusOK || len(body) != 2500 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(answer.Status, len(body), err)
	}
}

func TestLatencyIsAdded(t *testing.T) {
	handler, begun := handlerFor(Behaviour{ExtraLatencyMs: 30}, io.Discard), time.Now()
	ask(handler, "GET", "/", "")
	if taken := time.Since(begun); taken < 30*time.Millisecond {
		t.Error(taken)
	}
}

func TestACrashComesAfterTheFirstRequest(t *testing.T) {
	exited := make(chan int, 1)
	m := &misbehaving{
		Behaviour: Behaviour{CrashAfterS: 0.01}, log: slog.New(slog.DiscardHandler),
		next: http.NotFoundHandler(), exit: func(code int) { exited <- code },
	}
	ask(m, "GET", "/", "")
	if code := <-exited; code != 2 {
		t.Error(code)
	}
}

func TestConfigIsReadAndChecked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# a comment\nlisten: 127.0.0.1:1\n\ngreeting: \"Good day\"\n")
	config, err := ReadConfig(path)
	expected := Defaults
	expected.Listen, expected.Greeting = "127.0.0.1:1", "Good day"
	if err != nil || config != expected {
		t.Fatal(config, err)
	}
	for _, text := range []string{"listn: x\n", "listen: nowhere\n", "just text\n", "listen: [a]\n", "greeting: a\n---\ngreeting: b\n", "workers: 0\n", "error_rate: 2\n"} {
		write(text)
		if err := run([]string{"--check-config", path}, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

func TestAnAddressCountsFromTheNextStart(t *testing.T) {
	began := Defaults
	if keys := NeedsRestart(began, Config{Listen: began.Listen, Metrics: began.Metrics, Greeting: "another"}); len(keys) > 0 {
		t.Error(keys)
	}
	if keys := NeedsRestart(began, Config{}); len(keys) != 2 {
		t.Error(keys)
	}
}

func serviceOf(t *testing.T, config Config) *service {
	t.Helper()
	handed, err := handover.New(handover.Options{})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	return &service{handed: handed, began: config, now: func() Config { return config }, measured: metrics.New(), workers: newWorkers(), log: log}
}

func TestAPortThatIsTakenIsAnError(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, config := range []Config{
		{Listen: taken.Addr().String(), Metrics: "127.0.0.1:0"}, {Listen: "127.0.0.1:0", Metrics: taken.Addr().String()},
	} {
		s := serviceOf(t, config)
		if err := s.handed.Run(context.Background(), s.serve); err == nil {
			t.Error("no error")
		}
	}
}

func TestTheHouseIsToldHowItStands(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte("greeting: a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serviceOf(t, Defaults)
	held, err := open(path, s.workers, s.log)
	if err != nil {
		t.Fatal(err)
	}
	s.hold(held)
	if err := os.WriteFile(path, []byte("gretting: b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := held.Reload(); err == nil || s.now().Greeting != "a" {
		t.Fatal(err, s.now())
	}
	for path, part := range map[string]string{
		"/-/config": `"revision":1`, "/-/handover": `"state":"starting"`, "/metrics": "\nconfig_last_reload_successful 0\n",
	} {
		if answer := ask(s.house(), "GET", path, ""); !strings.Contains(answer.Body.String(), part) {
			t.Errorf("%s: %s", path, answer.Body)
		}
	}
}

func TestAMistakeOfTheConfigurationCountsAtOnceAndNoHealthCheckSeesIt(t *testing.T) {
	config := Defaults
	handler := newHandler(func() Config { return config }, Behaviour{}, metrics.New(), newWorkers(), slog.New(slog.DiscardHandler))
	for _, rate := range []float64{0, 1} {
		config.ErrorRate = rate
		if code := ask(handler, "GET", "/", "").Code; (code == http.StatusInternalServerError) != (rate == 1) {
			t.Error(rate, code)
		}
		if code := ask(handler, "GET", "/healthz", "").Code; code != http.StatusOK {
			t.Error(code)
		}
	}
}

func TestAnotherConfigurationBringsItsWorkers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("workers: 1\n")
	s := serviceOf(t, Defaults)
	held, err := open(path, s.workers, s.log)
	if err != nil {
		t.Fatal(err)
	}
	s.hold(held)
	_ = resize(s.workers, s.now())
	_, giveBack, _ := s.workers.Take(context.Background())
	asked := make(chan int)
	handler := newHandler(s.now, Behaviour{}, metrics.New(), s.workers, s.log)
	go func() { asked <- ask(handler, "GET", "/work", "").Code }()
	select {
	case <-asked:
		t.Error("the only worker was lent, and another request got one")
	case <-time.After(20 * time.Millisecond):
	}
	write("workers: 2\n")
	if _, err := held.Reload(); err != nil {
		t.Fatal(err)
	}
	if code := <-asked; code != http.StatusOK {
		t.Error(code)
	}
	giveBack()
}
