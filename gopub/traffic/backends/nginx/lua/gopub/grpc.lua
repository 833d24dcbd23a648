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

-- What nginx answers by itself, as gRPC says it ("HTTP to gRPC status code mapping"); others are UNKNOWN.
local BY_STATUS = {
  [400] = INTERNAL, [401] = 16, [403] = 7, [404] = UNIMPLEMENTED, [413] = EXHAUSTED, [429] = UNAVAILABLE,
  [502] = UNAVAILABLE, [503] = UNAVAILABLE, [504] = UNAVAILABLE,
}

local function is_grpc(kind)
  return kind ~= nil and kind:sub(1, 16):lower() == "application/grpc"
end

-- Counting -----------------------------------------------------------------------------------------------------

--- The class of a call whose answer began: by its grpc-status, where it came.
function _M.class(flight, status, var)
  local code = var.upstream_trailer_grpc_status or var.upstream_http_grpc_status
  if code then
    return code == "0" and "2xx" or OF_CLIENTS[code] and "4xx" or "5xx"
  elseif not is_grpc(var.upstream_http_content_type) then
    return status >= 200 and status < 500 and "4xx" or "5xx" -- somebody who speaks no gRPC
  end
  -- A call that the client left is no success, as a stream of HTTP is: nginx tells it from none that the peer reset.
  local ending = answer.ending(flight, status, var)
  return (ending == "cut" or ending == "left") and ending or "5xx" -- an end without trailers breaks the protocol
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
