-- What the service is told of where a request came from: X-Forwarded-For, -Proto, -Host and -Port. Trusted proxies are
-- believed; of anybody else's words none is passed on, and the edge says what it saw itself. Pure.

local decide = require "gopub.decide"
local text = require "gopub.text"

local _M = {}

local byte, sub = string.byte, string.sub
local F, X = byte("fx", 1, 2)
local UNIX = "unix:" -- $remote_addr of a peer without an address
local NONE = {}
local USUAL = { http = "80", https = "443", ws = "80", wss = "443" }

--- Whether a header claims something that only a trusted proxy may: routing, or where the request came from. Names in
-- lower case. With underscores, where nginx lets them pass, it is the same claim: many programs read both alike.
function _M.is_claim(name)
  local first = byte(name, 1)
  if first ~= X and first ~= F then -- most headers
    return false
  end
  local plain = name:find("_", 1, true) and text.header_name(name) or name
  return sub(plain, 1, 12) == "x-forwarded-" or decide.is_ours(plain) or plain == "forwarded" or plain == "x-real-ip"
end

-- What the nearest proxy said: the last value of the last line. What stands before may come from the client.
local function last(value)
  if type(value) == "table" then
    value = value[#value]
  end
  local comma = value:reverse():find(",", 1, true)
  return text.trim(comma and sub(value, #value - comma + 2) or value)
end

local function proto_of(value)
  local found = value and last(value):lower()
  return found and USUAL[found] and found or nil
end

local function host_of(value)
  local found = value and last(value)
  local name = found and #found <= 259 and found:gsub(":%d+$", "") or ""
  return (name:find("^[%w._-]+$") or name:find("^%[[%x:.]+%]$")) and found or nil
end

local function port_of(value)
  local found = value and last(value) or ""
  local number = found:find("^%d%d?%d?%d?%d?$") and tonumber(found) or 0
  return number >= 1 and number <= 65535 and ("%d"):format(number) or nil
end

local function chain(request)
  local there = request.trusted and text.joined(request.headers["x-forwarded-for"], ", ") or nil
  local remote = request.address ~= UNIX and request.address or nil
  return there and there ~= "" and remote and there .. ", " .. remote or remote or there
end

--- The four values; nil where there is nothing to tell. `own` is what the edge saw: {proto, host, port}.
-- A proxy that tells the protocol and no port means the port of its host, or the usual one: not ours.
function _M.values(request, own)
  local headers = request.trusted and request.headers or NONE
  local proto, host = proto_of(headers["x-forwarded-proto"]), host_of(headers["x-forwarded-host"]) or own.host
  local port = port_of(headers["x-forwarded-port"])
  if proto and not port then
    port = port_of((host or ""):match(":(%d+)$")) or USUAL[proto]
  end
  return { ["X-Forwarded-For"] = chain(request), ["X-Forwarded-Proto"] = proto or own.proto,
    ["X-Forwarded-Host"] = host, ["X-Forwarded-Port"] = port or own.port }
end

--- Their names.
_M.NAMES = { "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port" }

return _M
