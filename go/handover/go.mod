module gopub.dev/handover

go 1.25.0

require (
	golang.org/x/sys v0.43.0
	gopub.dev/sdnotify v0.1.0
)

replace gopub.dev/sdnotify => ../sdnotify
