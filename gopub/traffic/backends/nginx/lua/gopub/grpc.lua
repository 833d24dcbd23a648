-- What is different where the protocol is gRPC: how a call ended stands in grpc-status, in the trailers or, without a
-- message before it, among the headers; and the edge's own refusals are answers that a client of gRPC can read.

local answer = require "gopub.answer"

local ngx = ngx

local _M = {}

local UNKNOWN, EXHAUSTED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE = 2, 8, 12, 13, 14

-- Codes that are no failure of the server, by OpenTelemetry's conventions for servers: CANCELLED, INVALID_ARGUMENT,
-- NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED, RESOURCE_EXHAUSTED, FAILED_PRECONDITION, ABORTED, OUT_OF_RANGE,
-- UNAUTHENTICATED. All others are, those too that nobody knows: clients read them as UNKNOWN.
local OF_CLIENTS = {
  ["1"] = true, ["3"] = true, ["5"] = true, ["6"] = true, ["7"] = true, ["8"] = true, ["9"] = true, ["10"] = true,
  ["11"] = true, ["16"] = true,
}

-- What an answer of HTTP alone means to a client of gRPC ("HTTP to gRPC status code mapping"), and what nginx answers
-- by itself; others are UNKNOWN.
local BY_STATUS = {
  [400] = INTERNAL, [401] = 16, [403] = 7, [404] = UNIMPLEMENTED, [413] = EXHAUSTED, [429] = UNAVAILABLE,
  [502] = UNAVAILABLE, [503] = UNAVAILABLE, [504] = UNAVAILABLE,
}

-- Not application/grpc-web: that is HTTP with the status in the body.
local function is_grpc(kind)
  return kind ~= nil and kind:lower():find("^application/grpc%f[+;%s%z]") ~= nil
end

-- Counting -----------------------------------------------------------------------------------------------------

--- The class of a call whose answer began: by its grpc-status, where it came.
function _M.class(flight, status, var)
  local code = var.upstream_trailer_grpc_status or var.upstream_http_grpc_status
  if code then
    return code == "0" and "2xx" or OF_CLIENTS[code] and "4xx" or "5xx"
  elseif not is_grpc(var.upstream_http_content_type) then -- somebody who speaks no gRPC
    return OF_CLIENTS[tostring(BY_STATUS[status] or UNKNOWN)] and "4xx" or "5xx"
  end
  -- A call that the client left is no success, as a stream of HTTP is: nginx tells it from none that the peer reset.
  local ending = answer.ending(flight, status, var)
  return (ending == "cut" or ending == "left") and ending or "5xx" -- an end without trailers breaks the protocol
end

local UNITS = { H = 3600, M = 60, S = 1, m = 1e-3, u = 1e-6, n = 1e-9 }

--- After how many seconds a client that left had waited for the call: half of its deadline, for that began earlier than
-- the attempt, and nobody sets one who means to leave long before. nil: it has none.
function _M.patience(var)
  local number, unit = (var.http_grpc_timeout or ""):match("^(%d%d?%d?%d?%d?%d?%d?%d?)([HMSmun])$")
  return number and tonumber(number) * UNITS[unit] / 2 or nil
end

-- Answering ----------------------------------------------------------------------------------------------------

-- Makes of the answer that is about to be sent one of headers alone, which a client reads as the status.
local function say(code, text)
  local header = ngx.header
  ngx.status = 200
  header.content_type = "application/grpc"
  header.content_length = 0 -- so that the headers end the stream
  header["grpc-status"] = code
  header["grpc-message"] = text
end

--- Whether the request is a call of gRPC, wherever it came in.
function _M.asks(var)
  return is_grpc(var.http_content_type)
end

--- Refuses a call in a phase before the answer.
function _M.refuse(text)
  say(UNAVAILABLE, "gopub: " .. text)
  ngx.send_headers()
  return ngx.exit(ngx.HTTP_OK)
end

-- Whether nginx answers by a page of its own: no peer has said anything, or none was asked.
local function is_page()
  return ngx.status >= 400 and not ngx.header["grpc-status"] and not ngx.var.upstream_http_content_type
end

--- Header filter: as the router's, and a page of nginx's own becomes an answer of gRPC.
function _M.name_peer()
  require("gopub.router").name_peer(true)
  if is_page() then
    ngx.ctx.gopub_page = true
    say(BY_STATUS[ngx.status] or UNKNOWN, ("gopub: the edge answered %d"):format(ngx.status))
  end
end

--- Body filter: as the router's; nothing follows headers that ended the stream.
function _M.note_end()
  if ngx.ctx.gopub_page then
    ngx.arg[1], ngx.arg[2] = nil, true
  end
  require("gopub.router").note_end()
end

return _M
