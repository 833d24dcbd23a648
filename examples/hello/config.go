package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"go.yaml.in/yaml/v3"
)

// Config is what config.yaml holds. An address counts from the next start, all else at once. ErrorRate and
// ExtraLatencyMs are the mistakes that a configuration can hold here: no check of it and no health check sees them.
type Config struct {
	Listen         string  `yaml:"listen"`
	Metrics        string  `yaml:"metrics"`
	Greeting       string  `yaml:"greeting"`
	Workers        int     `yaml:"workers"`          // so many /work are done at a time, the others wait
	ErrorRate      float64 `yaml:"error_rate"`       // share of requests answered with 500
	ExtraLatencyMs int     `yaml:"extra_latency_ms"` // added to every answer
}

// Defaults hold where there is no file, and for keys that a file does not have.
var Defaults = Config{Listen: "127.0.0.1:8080", Metrics: "127.0.0.1:9102", Greeting: "Hello", Workers: 16}

// ReadConfig is for who has no service, and only asks whether a file is good.
func ReadConfig(path string) (Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Config{}, err
	}
	config, err := ParseConfig(data)
	if err == nil {
		err = config.Validate()
	}
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return config, nil
}

// ParseConfig reads YAML over the defaults; a key that is not known is an error that names its line.
func ParseConfig(data []byte) (Config, error) {
	config := Defaults
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(&config); err != nil && !errors.Is(err, io.EOF) {
		return Config{}, err
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return Config{}, errors.New("more than one document")
	}
	return config, nil
}

// Validate sees what YAML cannot: that an address is one.
func (c Config) Validate() error {
	for name, address := range map[string]string{"listen": c.Listen, "metrics": c.Metrics} {
		if _, _, err := net.SplitHostPort(address); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if c.Workers < 1 || c.Workers > 1000 {
		return fmt.Errorf("workers: %d, from 1 to 1000", c.Workers)
	}
	if c.ErrorRate < 0 || c.ErrorRate > 1 || c.ExtraLatencyMs < 0 {
		return errors.New("error_rate is from 0 to 1, extra_latency_ms is not negative")
	}
	return nil
}

// NeedsRestart names the keys that count from the next start only.
func NeedsRestart(began, now Config) (keys []string) {
	if began.Listen != now.Listen {
		keys = append(keys, "listen")
	}
	if began.Metrics != now.Metrics {
		keys = append(keys, "metrics")
	}
	return keys
}
