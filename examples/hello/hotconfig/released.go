package hotconfig

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// follow goes by /opt/INSTANCE/current from now on, where the program or the file lies in a folder of releases.
func (c *Config[T]) follow() {
	exe, err := os.Executable()
	if err != nil {
		return
	}
	if resolved, err := filepath.EvalSymlinks(exe); err == nil { // one that is gone stays what it was called
		exe = resolved
	}
	c.path = byCurrent(c.path)
	c.ours = func() error { return beside(exe) }
}

// byCurrent puts the link in the place of a release's folder, if both are there. What it gives is absolute: the working
// folder of a process is that of one release for ever, however it was entered.
func byCurrent(path string) string {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	home, inside, found := parts(absolute)
	if !found {
		return absolute
	}
	link := filepath.Join(home, "current")
	if target, err := filepath.EvalSymlinks(link); err != nil || filepath.Base(filepath.Dir(target)) != "releases" {
		return absolute
	}
	return filepath.Join(link, inside)
}

// parts of /opt/INSTANCE/releases/ID/INSIDE.
func parts(path string) (home, inside string, found bool) {
	const folder = "/releases/"
	at := strings.LastIndex(filepath.ToSlash(path), folder)
	if at < 0 {
		return "", "", false
	}
	_, inside, found = strings.Cut(filepath.ToSlash(path)[at+len(folder):], "/")
	return path[:at], inside, found
}

// beside tells why the release that current names is not that of the program: it holds another one. A program in no
// folder of releases has nothing beside it that could be another one's.
func beside(exe string) error {
	home, inside, found := parts(exe)
	if !found {
		return nil
	}
	next := filepath.Join(home, "current", inside)
	theirs, err := digest(next)
	if err != nil {
		return fmt.Errorf("current has no program: %w", err)
	}
	own, err := digest("/proc/self/exe")
	if errors.Is(err, os.ErrNotExist) { // no such file system here
		own, err = digest(exe)
	}
	if err != nil {
		return fmt.Errorf("the program that runs cannot be read: %w", err)
	}
	if own != theirs {
		return fmt.Errorf("%s is another program than the one that runs: what lies beside it is not for this process", next)
	}
	return nil
}

func digest(path string) (sum [sha256.Size]byte, err error) {
	file, err := os.Open(path)
	if err != nil {
		return sum, err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return sum, err
	}
	return [sha256.Size]byte(hash.Sum(nil)), nil
}
