package hotconfig

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

var errUnsettled = errors.New("it changed while it was read")

// attempt goes the whole way, from the file to the swap. Without force, what is in force or was refused already is not
// looked at again.
func (c *Config[T]) attempt(force bool) error {
	c.turn.Lock()
	defer c.turn.Unlock()
	data, err := read(c.path, c.options.Limit)
	if errors.Is(err, errUnsettled) && !force {
		return err
	}
	if errors.Is(err, errUnsettled) {
		data, err = readStable(c.path, c.options.Limit, c.options.Debounce)
	}
	if err != nil {
		return c.refuse("", err, force)
	}
	hash, before := hashOf(data), c.now.Load()
	if hash == before.SHA256 {
		c.confirm(hash, force)
		return nil
	}
	if hash == c.failed && !force {
		return nil
	}
	if err := c.ours(); err != nil {
		c.tell(false, func(s *Status) { s.Waiting = brief(err) })
		return err
	}
	value, err := c.understand(data)
	if err == nil && c.options.Prepare != nil {
		err = guarded("prepare", func() error { return c.options.Prepare(before.Value, value) })
	}
	keys := []string{}
	if err == nil && c.options.NeedsRestart != nil {
		err = guarded("compare", func() error { keys = append(keys, c.options.NeedsRestart(c.began, value)...); return nil })
	}
	if err != nil {
		return c.refuse(hash, err, force)
	}
	c.swap(before, value, hash, keys)
	return nil
}

// understand is parse and validate. A panic in either is an error: a file must not end a service that serves.
func (c *Config[T]) understand(data []byte) (T, error) {
	var value T
	err := guarded("parse", func() (err error) { value, err = c.options.Parse(data); return err })
	if err == nil && c.options.Validate != nil {
		err = guarded("validate", func() error { return c.options.Validate(value) })
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", c.path, err)
	}
	return value, err
}

func guarded(step string, do func() error) (err error) {
	defer func() {
		if what := recover(); what != nil {
			err = fmt.Errorf("%s: panic: %v", step, what)
		}
	}()
	if err := do(); err != nil {
		return fmt.Errorf("%s: %w", step, err)
	}
	return nil
}

func (c *Config[T]) swap(before *Snapshot[T], value T, hash string, keys []string) {
	next := &Snapshot[T]{Value: value, Revision: before.Revision + 1, SHA256: hash, AppliedAt: time.Now()}
	c.now.Store(next)
	c.failed = ""
	c.tell(true, func(s *Status) {
		s.Revision, s.SHA256, s.AppliedAt, s.RestartRequired = next.Revision, hash, next.AppliedAt, slices.Clip(keys)
		s.succeed(hash)
	})
}

// confirm is what becomes of a file that is in force already: nothing, and what was refused before it counts no more.
func (c *Config[T]) confirm(hash string, force bool) {
	before := c.Status()
	mended := !before.Successful
	c.failed = ""
	if mended || force || before.Waiting != "" {
		c.tell(mended, func(s *Status) { s.succeed(hash) })
	}
}

// refuse keeps the snapshot. The same failure is told once, unless somebody asked for the attempt.
func (c *Config[T]) refuse(hash string, err error, force bool) error {
	same := c.failed == hash && c.Status().LastError == brief(err)
	c.failed = hash
	if force || !same {
		c.tell(true, func(s *Status) {
			s.Successful, s.LastError, s.AttemptedAt, s.AttemptedSHA256 = false, brief(err), time.Now(), hash
			s.Attempts++
			s.Failures++
		})
	}
	return err
}

func (c *Config[T]) tell(loud bool, change func(*Status)) {
	c.seen.Lock()
	c.status.Waiting = ""
	change(&c.status)
	c.seen.Unlock()
	if loud && c.options.Report != nil {
		_ = guarded("report", func() error { c.options.Report(c.Status()); return nil })
	}
}

// readStable is read, with some patience for who writes at this moment.
func readStable(path string, limit int64, pause time.Duration) (data []byte, err error) {
	for range 10 {
		if data, err = read(path, limit); !errors.Is(err, errUnsettled) {
			return data, err
		}
		time.Sleep(pause)
	}
	return nil, err
}

// read gives a regular file of at most limit bytes that did not change meanwhile.
func read(path string, limit int64) ([]byte, error) {
	file, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	before, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: it is no regular file", path)
	}
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s: it is longer than %d bytes", path, limit)
	}
	after, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if after.Size() != int64(len(data)) || !after.ModTime().Equal(before.ModTime()) {
		return nil, fmt.Errorf("%s: %w", path, errUnsettled)
	}
	return data, nil
}
