module gopub.dev/examples/hops

go 1.25.0

require (
	google.golang.org/grpc v1.82.0
	google.golang.org/protobuf v1.36.11
	gopub.dev/gray v0.1.0
	gopub.dev/gray/graygrpc v0.1.0
)

require (
	golang.org/x/net v0.53.0 // indirect
	golang.org/x/sys v0.43.0 // indirect
	golang.org/x/text v0.36.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260414002931-afd174a4e478 // indirect
)

replace (
	gopub.dev/gray => ../../go/gray
	gopub.dev/gray/graygrpc => ../../go/gray/graygrpc
)
