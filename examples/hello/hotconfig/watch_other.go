//go:build !linux

package hotconfig

import (
	"errors"
	"os"
)

func openFile(path string) (*os.File, error) { return os.Open(path) }

type watcher struct {
	why    error
	events chan struct{}
}

func newWatcher(string) (*watcher, error) {
	return &watcher{events: make(chan struct{}, 1)}, errors.New("no inotify on this system")
}

func (w *watcher) arm() error { return w.why }
func (w *watcher) close()     {}

func (w *watcher) poke() {
	select {
	case w.events <- struct{}{}:
	default:
	}
}
