//go:build !linux

package sdnotify

import (
	"errors"
	"time"
)

// Reloading has no time to send here, and without it nobody can tell one reload from another.
func (n *Notifier) Reloading() error {
	if n.address == "" {
		return ErrNobody
	}
	return errors.New("sdnotify: no systemd on this system")
}

// Barrier finds nobody who could read here.
func (n *Notifier) Barrier(time.Duration) error { return n.Reloading() }
