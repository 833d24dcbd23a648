module gopub.dev/tests/asker

go 1.25.0

require (
	github.com/coder/websocket v1.8.15
	golang.org/x/net v0.53.0
	google.golang.org/grpc v1.82.0
	gopub.dev/drain v0.1.0
	gopub.dev/handover v0.1.0
)

require (
	golang.org/x/sys v0.43.0 // indirect
	golang.org/x/text v0.36.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260414002931-afd174a4e478 // indirect
	google.golang.org/protobuf v1.36.11 // indirect
	gopub.dev/sdnotify v0.1.0 // indirect
)

replace (
	gopub.dev/drain => ../../../go/drain
	gopub.dev/handover => ../../../go/handover
	gopub.dev/sdnotify => ../../../go/sdnotify
)
