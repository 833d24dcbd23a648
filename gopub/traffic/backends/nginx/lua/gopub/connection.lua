-- What nginx knows of a connection, remembered by its own words: many requests come over one.

local vars = require "gopub.vars"

local _M = {}

local MOST = 4096
local known, many = {}, 0

-- How long a connection to a peer may take to come about, in seconds; what is no such number is as if not said.
local function patience(text)
  local seconds = tonumber(text)
  return seconds and seconds >= 0.001 and seconds <= 60 and seconds or 2
end

local function take_apart(text)
  local remote, proto, port, seconds = text:match("^(%S*) (%S*) (%S*) (.*)$")
  if many >= MOST then
    known, many = {}, 0
  end
  local found = { remote = remote, proto = proto, port = port, patience = patience(seconds) }
  known[text], many = found, many + 1
  return found
end

--- {remote, proto, port, patience} of the request at hand; of many the same table, so that nothing of one may be kept
-- in it.
function _M.read()
  local text = vars.gopub_seen
  if not text then -- gopub-http.conf is of an older version
    local words = { vars.remote_addr, vars.scheme, vars.server_port or "", vars.gopub_connect_timeout or "" }
    text = table.concat(words, " ")
  end
  return known[text] or take_apart(text)
end

return _M
