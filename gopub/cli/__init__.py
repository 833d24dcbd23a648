"""The `gopub` command: data on stdout, talk on stderr, exit codes of DESIGN and docs/reference/cli.md."""
