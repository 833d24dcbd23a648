-- How the answer of a peer ended, and whether it is a stream: what the log phase can tell from nginx's own record.
--
-- nginx passes an end to the body filter only where the peer's answer was whole: all bytes of its length, the last
-- chunk, or, without either, the close of the connection. Where the peer closed too early, reset the connection or
-- said nothing for proxy_read_timeout, it passes on what it has and finishes the request, which is then "complete";
-- where the client left, or was too slow for send_timeout, the request is terminated and is not.

local ngx = ngx

local _M = {}

--- The answer to a WebSocket. It is open until somebody closes it.
_M.SWITCHED = 101

-- Types whose answers go on for as long as there is something to say.
local STREAMS = {
  ["text/event-stream"] = true, ["multipart/x-mixed-replace"] = true, ["application/x-ndjson"] = true,
  ["application/ndjson"] = true, ["application/jsonl"] = true, ["application/stream+json"] = true,
  ["application/json-seq"] = true,
}
-- Bytes from which on the time to the end is that of the client's line and not of the peer's work.
local LARGE = 1048576

local kinds, many = { [""] = false }, 1

-- Whether a type is one of those; remembered, for a service has few.
local function is_stream_type(text)
  local found = kinds[text]
  if found == nil then
    local kind = text:lower():match("^[^;%s]*")
    found = STREAMS[kind] or kind:sub(1, 16) == "application/grpc"
    if many >= 1000 then
      kinds, many = { [""] = false }, 1
    end
    kinds[text], many = found, many + 1
  end
  return found
end

--- Whether the answer goes on for as long as there is something to say: by its type, or because it asks not to be
-- buffered. Its client leaves when it has heard enough.
function _M.is_stream(var)
  if is_stream_type(var.upstream_http_content_type or "") then
    return true
  end
  return (var.upstream_http_x_accel_buffering or ""):lower() == "no"
end

--- Whether the answer is so large that its end says nothing about the peer.
function _M.is_large(var)
  return (tonumber(var.upstream_response_length) or 0) > LARGE
end

local function has_no_length(var)
  return not var.upstream_http_content_length and not var.upstream_http_transfer_encoding
end

-- Whether the peer had given all, though the client did not take it.
local function is_all_there(var)
  local length = tonumber(var.upstream_http_content_length)
  return length ~= nil and (tonumber(var.upstream_response_length) or 0) >= length
end

-- HEAD, 204 and 304 have no body.
local function is_bare(var)
  return ngx.status == 204 or ngx.status == 304 or var.request_method == "HEAD"
end

--- "whole", "unknown_end" (nobody said how long it would be), "cut" by the peer, or "left" by the client or the edge.
-- `flight` knows: answering, the peer's header went out, and ends are noted; passed, the body filter ran; ended, it saw
-- the end; sized, the peer said how long it would be.
function _M.ending(flight, status, var)
  if flight.ended then
    return not flight.sized and has_no_length(var) and not is_bare(var) and "unknown_end" or "whole"
  elseif status == _M.SWITCHED or not flight.answering or is_bare(var) then
    return "whole"
  elseif flight.passed and var.request_completion == "OK" and not ngx.worker.exiting() then
    return "cut"
  end
  return is_all_there(var) and "whole" or "left"
end

return _M
