module gopub.dev/tests/asker

go 1.25.0
