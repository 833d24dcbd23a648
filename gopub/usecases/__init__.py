"""One module for each thing that somebody asks for; commands, flows and REST call these and nothing below."""
