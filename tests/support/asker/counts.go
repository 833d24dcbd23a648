package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// counts are what all workers saw. Asked is answered, lost and told together; what lasts counts apart.
type counts struct {
	mu       sync.Mutex
	began    time.Time
	latest   time.Time      // answer
	Asked    int            `json:"asked"`
	Answered int            `json:"answered"`
	Kinds    map[string]int `json:"kinds"`   // answers by kind of request
	Lost     map[string]int `json:"lost"`    // by kind of request and of loss
	Told     map[string]int `json:"told"`    // by kind: the server said that it does not take, or ends, this one
	Cut      map[string]int `json:"cut"`     // by kind: what lasted and ended without a word
	By       map[string]int `json:"by"`      // answers by version
	Pids     map[string]int `json:"pids"`    // answers by process
	Streams  int            `json:"streams"` // that came to an end of their own
	Gap      float64        `json:"gap"`     // seconds, the longest between two answers
	Seconds  float64        `json:"seconds"`
}

func newCounts() *counts {
	return &counts{Kinds: map[string]int{}, Lost: map[string]int{}, Told: map[string]int{}, Cut: map[string]int{},
		By: map[string]int{}, Pids: map[string]int{}}
}

// begin is when all have been answered: gaps and rate count from here.
func (c *counts) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.began, c.latest, c.Gap = time.Now(), time.Now(), 0
}

// end is when nobody asks any more: what is under way is still counted, but makes no gap.
func (c *counts) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Seconds = time.Since(c.began).Seconds()
}

// tell is one line.
func (c *counts) tell() {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = json.NewEncoder(os.Stdout).Encode(c)
}

func (c *counts) take(kind string, who said, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Asked++
	switch {
	case errors.Is(err, errTold):
		c.Told[kind]++
	case err != nil:
		c.Lost[kind+": "+class(err)]++
	default:
		c.Answered++
		c.Kinds[kind]++
		c.By[who.Version]++
		c.Pids[fmt.Sprintf("%s/%d", who.Host, who.Pid)]++
		if gap := time.Since(c.latest).Seconds(); c.Seconds == 0 && !c.latest.IsZero() && gap > c.Gap {
			c.Gap = gap
		}
		c.latest = time.Now()
	}
}

// errCut is the end of what lasts that nobody announced.
type errCut struct{ error }

func (c *counts) ended(kind string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var cut errCut
	switch {
	case errors.Is(err, errTold):
		c.Told[kind]++
		c.Streams++
	case errors.As(err, &cut):
		c.Cut[kind]++
	default:
		c.Lost[kind+": "+class(err)]++
	}
}
