module gopub.dev/drain

go 1.24
