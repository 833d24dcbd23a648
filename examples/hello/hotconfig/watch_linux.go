//go:build linux

package hotconfig

import (
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// openFile waits for nobody: a pipe that has no writer is opened, and refused afterwards.
func openFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
}

const (
	namesChange   = unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE
	contentChange = namesChange | unix.IN_MODIFY | unix.IN_CLOSE_WRITE | unix.IN_ATTRIB
	maxLinks      = 40 // as the kernel
)

// watcher watches every folder on the way to a file, links followed: never the file, whose place another one takes, and
// never the resolved way alone, which a link that switches leaves behind.
type watcher struct {
	path   string
	file   *os.File
	why    error         // there is no file
	events chan struct{} // something happened on the way; holds one

	mu    sync.Mutex
	names map[int]map[string]bool // by watch descriptor: the entries that matter
}

// newWatcher gives a watcher that never says anything where there is no inotify, and why.
func newWatcher(path string) (*watcher, error) {
	w := &watcher{path: path, events: make(chan struct{}, 1), names: map[int]map[string]bool{}}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return w, fmt.Errorf("inotify: %w", err)
	}
	w.file = os.NewFile(uintptr(fd), "inotify")
	if err := w.arm(); err != nil {
		w.close()
		w.file = nil
		return w, fmt.Errorf("inotify: %w", err)
	}
	go w.listen(w.file)
	return w, nil
}

func (w *watcher) close() {
	if w.file != nil {
		_ = w.file.Close()
	}
}

func (w *watcher) poke() {
	select {
	case w.events <- struct{}{}:
	default:
	}
}

// arm watches the way as it is now. A link may switch while it is followed, so the way is gone until it stays the same.
func (w *watcher) arm() error {
	if w.file == nil {
		return w.why
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var before map[string]map[string]bool
	for range 10 {
		way, last := wayTo(w.path)
		if before != nil && sameWay(way, before) {
			return nil
		}
		if err := w.mark(way, last); err != nil {
			return err
		}
		before = way
	}
	w.poke() // it switches all the time: look again
	return nil
}

func sameWay(a, b map[string]map[string]bool) bool {
	return maps.EqualFunc(a, b, func(x, y map[string]bool) bool { return maps.Equal(x, y) })
}

// mark asks the kernel for each folder anew (it may be another one of the same name), and drops the others.
func (w *watcher) mark(way map[string]map[string]bool, last string) error {
	raw, err := w.file.SyscallConn()
	if err != nil {
		return err
	}
	names := map[int]map[string]bool{}
	var failed error
	err = raw.Control(func(fd uintptr) {
		for folder, entries := range way {
			mask := uint32(namesChange)
			if folder == last {
				mask = contentChange
			}
			mark, err := unix.InotifyAddWatch(int(fd), folder, mask|unix.IN_ONLYDIR|unix.IN_DELETE_SELF|unix.IN_MOVE_SELF)
			if err == unix.ENOENT || err == unix.ENOTDIR || err == unix.EACCES {
				continue // gone meanwhile, or not ours to see: the folder above tells, or the next poll
			} else if err != nil {
				failed = err
				return
			}
			if names[mark] == nil {
				names[mark] = map[string]bool{}
			}
			maps.Copy(names[mark], entries)
		}
		for mark := range w.names {
			if names[mark] == nil {
				_, _ = unix.InotifyRmWatch(int(fd), uint32(mark))
			}
		}
	})
	if err == nil {
		err = failed
	}
	if err == nil {
		w.names = names
	}
	return err
}

// wayTo gives each folder in which an entry of the way stands, with these entries, and the folder of the file itself.
// It ends at what is not there.
func wayTo(path string) (way map[string]map[string]bool, last string) {
	way = map[string]map[string]bool{}
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	at, rest, links := "/", strings.Split(strings.Trim(path, "/"), "/"), 0
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			at = filepath.Dir(at)
			continue
		}
		if way[at] == nil {
			way[at] = map[string]bool{}
		}
		way[at][name] = true
		last = at
		full := filepath.Join(at, name)
		target, err := os.Readlink(full)
		if err != nil {
			at = full // no link; or not there, and then nothing below it is either
			continue
		}
		if links++; links > maxLinks {
			return way, last
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return way, last
}

// listen ends when the file is closed.
func (w *watcher) listen(file *os.File) {
	buffer := make([]byte, 64*(unix.SizeofInotifyEvent+unix.NAME_MAX+1))
	for {
		n, err := file.Read(buffer)
		if err != nil {
			return
		}
		if w.matters(buffer[:n]) {
			w.poke()
		}
	}
}

func (w *watcher) matters(events []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	yes := false
	for len(events) >= unix.SizeofInotifyEvent {
		mark := int(int32(binary.NativeEndian.Uint32(events)))
		mask := binary.NativeEndian.Uint32(events[4:])
		length := int(binary.NativeEndian.Uint32(events[unsafe.Offsetof(unix.InotifyEvent{}.Len):]))
		name := strings.TrimRight(string(events[unix.SizeofInotifyEvent:unix.SizeofInotifyEvent+length]), "\x00")
		events = events[unix.SizeofInotifyEvent+length:]
		switch {
		case mask&unix.IN_Q_OVERFLOW != 0: // some were lost: anything may have happened
			yes = true
		case mask&(unix.IN_DELETE_SELF|unix.IN_MOVE_SELF) != 0:
			yes = yes || w.names[mark] != nil
		default:
			yes = yes || w.names[mark][name]
		}
	}
	return yes
}
