//go:build linux

package handover

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	releases = "/releases/"
	link     = "/current"
)

// Current is the program that /opt/INSTANCE/current names now, for a service that runs from a folder of its releases.
// File and working folder are of one release, whatever switches meanwhile: for them the link is followed once. Words of
// the command line name the link itself, as the service's unit does, also those that named the old release's folder.
func Current() (Program, error) {
	exe, err := os.Executable()
	if err != nil {
		return Program{}, err
	}
	dir, err := os.Readlink("/proc/self/cwd")
	if err != nil {
		return Program{}, err
	}
	return current(exe, strings.TrimSuffix(dir, " (deleted)"), os.Args)
}

func current(exe, dir string, words []string) (Program, error) {
	home, id, inside, found := parts(exe)
	if !found {
		return Program{}, fmt.Errorf("%s is of no folder of releases; Options.Program says what is started", exe)
	}
	next, err := filepath.EvalSymlinks(home + link)
	if err != nil {
		return Program{}, err
	}
	named := home // the way to it that the unit knows may lead through other links
	if by, _, _, found := parts(words[0]); found {
		named = by
	} else if by, found := strings.CutSuffix(words[0], link+"/"+inside); found {
		named = by
	}
	program := Program{Path: filepath.Join(next, inside), Name: named + link + "/" + inside, Dir: moved(dir, home+releases+id, next)}
	for _, word := range words[1:] {
		for _, from := range []string{home, named} {
			word = moved(word, from+releases+id, named+link)
		}
		program.Args = append(program.Args, word)
	}
	return program, nil
}

// parts of /opt/INSTANCE/releases/ID/bin/APP.
func parts(path string) (home, id, inside string, found bool) {
	at := strings.LastIndex(path, releases)
	if at < 0 || path[0] != '/' {
		return "", "", "", false
	}
	id, inside, found = strings.Cut(path[at+len(releases):], "/")
	return path[:at], id, inside, found
}

// moved puts one folder in another one's place: in whole words, in --key=FOLDER, and before a slash.
func moved(word, from, to string) string {
	if rest, found := strings.CutSuffix(word, from); found && (rest == "" || strings.HasSuffix(rest, "=")) {
		return rest + to
	}
	return strings.ReplaceAll(word, from+"/", to+"/")
}
