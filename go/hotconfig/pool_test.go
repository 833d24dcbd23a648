package hotconfig

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// counted says how many are open, and remembers the least since it was asked last.
type counted struct {
	lock        sync.Mutex
	open, least int
	fail        int // the open that fails, counted down; 0: none
}

func (c *counted) opens() (int, error) {
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.fail--; c.fail == 0 {
		return 0, errors.New("refused")
	}
	c.open++
	return c.open, nil
}

func (c *counted) closes(int) {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.open--
	c.least = min(c.least, c.open)
}

func (c *counted) leastSince() int {
	c.lock.Lock()
	defer c.lock.Unlock()
	found := c.least
	c.least = c.open
	return found
}

// closesFirst is the control: what a service does that closes its pool and opens another.
func closesFirst(p *Pool[int], c *counted, size int) error {
	p.now.retire()
	p.now = newLending(0, c.closes)
	return p.Replace(size, c.opens)
}

func TestAPoolShrinksOnlyAfterItGrew(t *testing.T) {
	for _, naive := range []bool{false, true} {
		c := &counted{}
		p, under := NewPool(c.closes), 0
		for before, n := 0, 0; n < 1000; n++ {
			size := 1 + rand.IntN(16)
			replace := func() error { return p.Replace(size, c.opens) }
			if naive {
				replace = func() error { return closesFirst(p, c, size) }
			}
			c.leastSince()
			if err := replace(); err != nil {
				t.Fatal(err)
			}
			if c.leastSince() < min(before, size) {
				under++
			}
			if before = size; c.open != size {
				t.Fatalf("%d are open of %d", c.open, size)
			}
		}
		if (under > 0) != naive {
			t.Errorf("it fell below both sizes %d times; naive: %v", under, naive)
		}
	}
}

func TestWhatCannotBeOpenedChangesNothing(t *testing.T) {
	c := &counted{}
	p := NewPool(c.closes)
	_ = p.Replace(4, c.opens)
	c.fail = 3
	if err := p.Replace(8, c.opens); err == nil || c.open != 4 {
		t.Fatal(err, c.open)
	}
	for range 4 {
		if _, _, err := p.Take(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	ended, end := context.WithCancel(context.Background())
	end()
	if _, _, err := p.Take(ended); !errors.Is(err, context.Canceled) {
		t.Error("a fifth was lent", err)
	}
}

func TestEverybodyGetsOneWhileConfigurationsChangeIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	write := func(size int) {
		if err := os.WriteFile(path+".new", []byte(strconv.Itoa(size)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	c := &counted{}
	p := NewPool(c.closes)
	write(4)
	held, err := Open(Options[int]{
		Path: path, Parse: func(data []byte) (int, error) { return strconv.Atoi(string(data)) },
		Prepare: func(_, next int) error { return p.Replace(next, c.opens) },
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = p.Replace(held.Now().Value, c.opens)
	var asking sync.WaitGroup
	var served atomic.Int64
	for range 8 {
		asking.Go(func() {
			for range 1250 {
				_, giveBack, err := p.Take(context.Background())
				if err == nil {
					served.Add(1)
				}
				giveBack()
			}
		})
	}
	last := 4
	for n := range 100 {
		last = 1 + n%6
		write(last)
		if _, err := held.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	asking.Wait()
	if served.Load() != 10_000 || c.open != last {
		t.Error(served.Load(), c.open, last)
	}
}
