package hotconfig

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Status is what people and programs are told. Revision and SHA256 are of the configuration in force, and a
// deployment waits for the hash that it brought; the fields of an attempt are of the last one, taken in or not.
type Status struct {
	Path            string    `json:"path"`
	Revision        uint64    `json:"revision"`
	SHA256          string    `json:"sha256"`
	AppliedAt       time.Time `json:"applied_at"`
	RestartRequired []string  `json:"restart_required"` // keys that count from the next start only
	Successful      bool      `json:"last_reload_successful"`
	LastError       string    `json:"last_error"` // empty after success
	AttemptedAt     time.Time `json:"attempted_at"`
	AttemptedSHA256 string    `json:"attempted_sha256"` // empty where the file could not be read
	Attempts        uint64    `json:"attempts"`
	Failures        uint64    `json:"failures"`
	Watching        string    `json:"watching"` // "inotify", or how often the file is read instead, and why
	Waiting         string    `json:"waiting"`  // why what lies there is not for this process; empty where it is
}

// longest bounds an error: parsers like to quote what they did not understand.
const longest = 1000

func brief(err error) string {
	text := strings.ToValidUTF8(err.Error(), "\uFFFD")
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return text
}

func (s *Status) succeed(hash string) {
	s.Successful, s.LastError, s.AttemptedAt, s.AttemptedSHA256 = true, "", time.Now(), hash
	s.Attempts++
}

// Status tells how the configuration stands.
func (c *Config[T]) Status() Status {
	c.seen.Lock()
	defer c.seen.Unlock()
	status := c.status
	status.RestartRequired = slices.Clone(status.RestartRequired)
	return status
}

// ServeHTTP answers with the Status as JSON. An error may quote the file, so this belongs to a port of the house.
func (c *Config[T]) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(c.Status())
}

// Metrics writes the Status in Prometheus' text format.
func (c *Config[T]) Metrics(w io.Writer) error {
	status := c.Status()
	number := func(yes bool) int {
		if yes {
			return 1
		}
		return 0
	}
	_, err := fmt.Fprintf(w, `# HELP config_last_reload_successful Whether the last attempt to take in a configuration succeeded.
# TYPE config_last_reload_successful gauge
config_last_reload_successful %d
# HELP config_last_reload_success_timestamp_seconds When the configuration in force was taken in.
# TYPE config_last_reload_success_timestamp_seconds gauge
config_last_reload_success_timestamp_seconds %.3f
# HELP config_revision How many configurations were taken in since the start.
# TYPE config_revision gauge
config_revision %d
# HELP config_info The SHA-256 of the configuration in force.
# TYPE config_info gauge
config_info{sha256="%s"} 1
# HELP config_restart_required How many keys count from the next start only.
# TYPE config_restart_required gauge
config_restart_required %d
# HELP config_reloads_total Attempts, the first one included.
# TYPE config_reloads_total counter
config_reloads_total{result="success"} %d
config_reloads_total{result="failure"} %d
`, number(status.Successful), float64(status.AppliedAt.UnixMilli())/1000, status.Revision, status.SHA256,
		len(status.RestartRequired), status.Attempts-status.Failures, status.Failures)
	return err
}
