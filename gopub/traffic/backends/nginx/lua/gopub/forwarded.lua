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
  return (text.trim(comma and sub(value, #value - comma + 2) or value))
end

-- `read` of a text, remembered: a pattern costs more than all else that a request needs here.
local function remembered(read)
  local known, many = {}, 0
  return function(value)
    local found = known[value]
    if found == nil then
      found = read(value) or false
      if #value > 300 then
        return found or nil
      end
      if many >= 1000 then
        known, many = {}, 0
      end
      known[value], many = found, many + 1
    end
    return found or nil
  end
end

local function proto_of(value)
  local found = value and last(value):lower()
  return found and USUAL[found] and found or nil
end

local is_host = remembered(function(value)
  local name = #value <= 259 and value:gsub(":%d+$", "") or ""
  return name:find("^[%w._-]+$") or name:find("^%[[%x:.]+%]$")
end)

local function host_of(value)
  local found = value and last(value)
  return found and is_host(found) and found or nil
end

local port_in = remembered(function(value)
  local number = value:find("^%d%d?%d?%d?%d?$") and tonumber(value) or 0
  return number >= 1 and number <= 65535 and ("%d"):format(number) or nil
end)

local function port_of(value)
  return value and port_in(last(value)) or nil
end

local port_after = remembered(function(host)
  return port_of(host:match(":(%d+)$"))
end)

local function chain(request)
  local there = request.trusted and text.joined(request.headers["x-forwarded-for"], ", ") or nil
  local remote = request.address ~= UNIX and request.address or nil
  return there and there ~= "" and remote and there .. ", " .. remote or remote or there
end

--- What X-Forwarded-For, -Proto, -Host and -Port say; nil where there is nothing to tell. `own` is what the edge saw:
-- {proto, port}. A proxy that tells the protocol and no port means the port of its host, or the usual one: not
-- ours.
function _M.values(request, own)
  local headers = request.trusted and request.headers or NONE
  local proto = proto_of(headers["x-forwarded-proto"])
  local host = host_of(headers["x-forwarded-host"]) or request.headers.host
  local port = port_of(headers["x-forwarded-port"])
  if proto and not port then
    port = host and port_after(host) or USUAL[proto]
  end
  return chain(request), proto or own.proto, host or nil, port or own.port
end

--- The headers that it reads.
_M.READS = { "host", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port" }

return _M
