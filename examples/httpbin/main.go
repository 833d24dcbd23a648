// Httpbin runs github.com/mccutchen/go-httpbin: somebody else's service, released as it is.
package main

import (
	"log"
	"net/http"
	"time"

	"github.com/mccutchen/go-httpbin/v2/httpbin"
)

func main() {
	server := &http.Server{Addr: ":8081", Handler: httpbin.New().Handler(), ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}
