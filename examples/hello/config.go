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

// Config is what config.yaml holds. A new greeting counts at once; an address counts from the next start.
type Config struct {
	Listen   string `yaml:"listen"`
	Metrics  string `yaml:"metrics"`
	Greeting string `yaml:"greeting"`
}

// Defaults hold where there is no file, and for keys that a file does not have.
var Defaults = Config{Listen: "127.0.0.1:8080", Metrics: "127.0.0.1:9102", Greeting: "Hello"}

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
