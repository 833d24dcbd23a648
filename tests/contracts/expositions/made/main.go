// Prints the page of OpenTelemetry's instrumentation of the Go runtime behind its own Prometheus exporter.
//
// How otel_go_recorded.txt and otel_go_recorded_deprecated.txt were made, with the versions in go.mod (here go 1.26):
//
//	go mod tidy && go build -o shop .
//	./shop > ../otel_go_recorded.txt
//	OTEL_GO_X_DEPRECATED_RUNTIME_METRICS=true ./shop > ../otel_go_recorded_deprecated.txt
package main

import (
	"context"
	"fmt"
	"net/http/httptest"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	instrumented "go.opentelemetry.io/contrib/instrumentation/runtime"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
)

func main() {
	registry := prometheus.NewRegistry()
	reader, err := exporter.New(exporter.WithRegisterer(registry))
	if err != nil {
		panic(err)
	}
	provider := metric.NewMeterProvider(metric.WithReader(reader))
	defer func() { _ = provider.Shutdown(context.Background()) }()
	if err := instrumented.Start(instrumented.WithMeterProvider(provider)); err != nil {
		panic(err)
	}
	for range 3 {
		runtime.GC()
	}
	time.Sleep(50 * time.Millisecond)
	answer := httptest.NewRecorder()
	asked := httptest.NewRequest("GET", "/metrics", nil)
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(answer, asked)
	fmt.Print(answer.Body.String())
}
