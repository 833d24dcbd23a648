#!/bin/sh
# Before nginx is reloaded: has its answers end their connections for a moment, so that none is kept when the old workers
# close what they keep; what a client sends over one just then is lost. An edge without that, or without an nginx that
# runs, is not waited for.
curl -sf -o /dev/null --max-time 5 --unix-socket /run/gopub/edge.sock -X POST http://edge/v1/farewell || exit 0
sleep 1
