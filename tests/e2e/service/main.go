// A small service for the tests of the host program: it answers on ADDR, and MODE says how it misbehaves.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

var version = "dev"

func main() {
	mode := mode()
	if len(os.Args) > 1 && os.Args[1] == "--check-config" {
		checkConfig(os.Args[2])
	}
	switch mode {
	case "exit":
		fmt.Println("I end at once")
		os.Exit(3)
	case "done":
		fmt.Println("nothing to do")
		os.Exit(0)
	}
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if mode == "sick" {
			w.WriteHeader(http.StatusInternalServerError)
		}
		fmt.Fprintln(w, version, os.Getenv("WORD"))
	})
	if file := os.Getenv("CONFIG"); file != "" {
		config := keepConfig(file)
		http.Handle("/config", config)
		http.Handle("/held", config)
		http.Handle("/text", config)
	}
	go stop(mode)
	if more := os.Getenv("MORE"); more != "" {
		go serve(more)
	}
	if also := os.Getenv("WORKER"); also != "" {
		go work(also)
	}
	if mode == "hungry" {
		go keep(192 << 20)
	}
	if mode == "late" {
		time.Sleep(1500 * time.Millisecond)
	}
	if err := answer(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// answer serves on the listener that systemd gave, where it gave one.
func answer() error {
	if os.Getenv("LISTEN_PID") != fmt.Sprint(os.Getpid()) || mode() == "deaf" {
		listener, err := net.Listen("tcp", os.Getenv("ADDR"))
		if err != nil {
			return err
		}
		go inPlace(listener)
		return http.Serve(listener, nil)
	}
	listener, err := net.FileListener(os.NewFile(3, "systemd"))
	if err != nil {
		return err
	}
	go inPlace(listener)
	return http.Serve(listener, nil)
}

// inPlace executes the program anew on SIGHUP, by the name that it was started by, with its listener; "stays" only reads
// its configuration anew, as it says.
func inPlace(listener net.Listener) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	for range signals {
		if mode() == "stays" {
			continue
		}
		file, err := listener.(*net.TCPListener).File()
		if err == nil {
			err = syscall.Dup3(int(file.Fd()), 3, 0)
		}
		if err == nil {
			_ = os.Setenv("LISTEN_PID", fmt.Sprint(os.Getpid()))
			err = syscall.Exec(os.Args[0], os.Args, os.Environ())
		}
		fmt.Println(err)
	}
}

func mode() string { return os.Getenv("MODE") }

// keep holds more and more memory until it has so many bytes, 1.25 MiB a second.
func keep(most int) {
	const block = 128 << 10
	var kept [][]byte
	for len(kept)*block < most {
		time.Sleep(100 * time.Millisecond)
		more := make([]byte, block)
		for i := range more {
			more[i] = 1
		}
		kept = append(kept, more)
	}
	select {}
}

func serve(address string) {
	if err := http.ListenAndServe(address, nil); err != nil {
		fmt.Println(err)
	}
}

// work runs the program a second time, as a copy of its file where the word "copy" is before the address.
func work(also string) {
	file, address := os.Args[0], strings.TrimPrefix(also, "copy")
	if address != also {
		data, err := os.ReadFile(file)
		file = os.Getenv("STATE_DIRECTORY") + "/copy"
		if err != nil || os.WriteFile(file, data, 0o755) != nil {
			fmt.Println("no copy of", os.Args[0])
			return
		}
	}
	worker := exec.Command(file)
	worker.Env = []string{"ADDR=" + address}
	fmt.Println(worker.Run())
}

func stop(mode string) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	<-signals
	for mode == "slow" && !exists(os.Getenv("LET_GO")) {
		time.Sleep(20 * time.Millisecond)
	}
	os.Exit(0)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func checkConfig(path string) {
	text, err := os.ReadFile(path)
	fmt.Printf("%s reads %q\n", version, text)
	if err != nil || string(text) == "bad\n" || string(text) == "only for two\n" && version != "2" {
		os.Exit(1)
	}
	os.Exit(0)
}
