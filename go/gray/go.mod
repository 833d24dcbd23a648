module gopub.dev/gray

go 1.24
