package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

// held is what the service took in of its config file. What the file says is how it misbehaves when that is taken in.
type held struct {
	sync.Mutex
	Text      string `json:"-"`
	Sum       string `json:"sha256"`
	Tried     string `json:"attempted_sha256"`
	Succeeded bool   `json:"last_reload_successful"`
	Error     string `json:"last_error"`
}

// keepConfig reads the file, and reads it again at each SIGHUP.
func keepConfig(file string) *held {
	now := &held{}
	now.read(file, true)
	signals := make(chan os.Signal, 1)
	if now.Text != "deaf\n" {
		signal.Notify(signals, syscall.SIGHUP)
	}
	go func() {
		for range signals {
			now.read(file, false)
		}
	}()
	return now
}

func (now *held) read(file string, first bool) {
	data, err := os.ReadFile(file)
	text, sum := string(data), fmt.Sprintf("%x", sha256.Sum256(data))
	if !first && text == "die\n" {
		fmt.Println("I cannot bear this")
		os.Exit(4)
	}
	now.Lock()
	defer now.Unlock()
	for !first && text == "hang\n" {
		time.Sleep(time.Hour)
	}
	now.Tried, now.Succeeded, now.Error = sum, err == nil, ""
	if err != nil || text == "bad\n" {
		now.Succeeded, now.Error = false, "line 1: \"bad\" is no setting"
		return
	}
	if text == "lie\n" && !first {
		return
	}
	if strings.HasPrefix(text, "half") && !first {
		text = text[:len(text)/2]
		sum = fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
	}
	now.Text, now.Sum = text, sum
}

func (now *held) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now.Lock()
	defer now.Unlock()
	if r.URL.Path == "/held" {
		fmt.Fprintf(w, "this one holds %s\n", now.Sum)
		return
	}
	if r.URL.Path == "/text" {
		fmt.Fprint(w, now.Text)
		return
	}
	_ = json.NewEncoder(w).Encode(now)
}
