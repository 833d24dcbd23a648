package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
)

// Config is what config.yaml holds: one "key: value" a line, which is YAML, too.
type Config struct {
	Listen   string
	Metrics  string
	Greeting string
}

// Defaults hold where there is no file.
var Defaults = Config{Listen: "127.0.0.1:8080", Metrics: "127.0.0.1:9102", Greeting: "Hello"}

// ReadConfig reads a file over the defaults; an unknown key or a bad address is an error that names its line.
func ReadConfig(path string) (Config, error) {
	config := Defaults
	file, err := os.Open(path)
	if err != nil {
		return config, err
	}
	defer file.Close()
	keys := map[string]*string{"listen": &config.Listen, "metrics": &config.Metrics, "greeting": &config.Greeting}
	lines := bufio.NewScanner(file)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, found := strings.Cut(line, ":")
		target := keys[strings.TrimSpace(key)]
		if !found || target == nil {
			return config, fmt.Errorf("%s:%d: unknown line %q", path, number, line)
		}
		*target = strings.Trim(strings.TrimSpace(value), `"`)
	}
	if err := lines.Err(); err != nil {
		return config, err
	}
	return config, config.check(path)
}

func (c Config) check(path string) error {
	for name, address := range map[string]string{"listen": c.Listen, "metrics": c.Metrics} {
		if _, _, err := net.SplitHostPort(address); err != nil {
			return fmt.Errorf("%s: %s: %w", path, name, err)
		}
	}
	return nil
}
