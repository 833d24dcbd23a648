-- What the edge counts, and its page for Prometheus. Attempts are counted, not answers: one that failed counts
-- against the peer that failed it, whoever answered in the end.

local cjson = require "cjson"
local inflight = require "gopub.inflight"
local series = require "gopub.series"
local tables = require "gopub.tables"

local counters = ngx.shared.gopub_counters
local BOUNDS = series.BOUNDS

local _M = {}

-- Observing ----------------------------------------------------------------------------------------------------

-- A client that left before the answer began is the peer's fault only if it had waited this long, in seconds.
local PATIENCE = 1

-- The answer to a WebSocket. It is open until somebody closes it, so its time is the time until the answer.
local SWITCHED = 101

local function bucket(seconds)
  local at = 1
  while BOUNDS[at] and seconds > BOUNDS[at] do
    at = at + 1
  end
  return at
end

-- The class of an attempt, from nginx's own record of it; nil when it says nothing about the peer.
local function class(status, sent, answered, seconds)
  if not status then
    return sent and sent > 0 and seconds and seconds >= PATIENCE and "timeout" or nil
  elseif not sent or sent == 0 then -- nginx gives a connect time also for a refused connection
    return "connect"
  elseif not answered and status == 504 then
    return "timeout"
  elseif status == SWITCHED then
    return "2xx"
  end
  return (status < 200 or status > 599) and "5xx" or math.floor(status / 100) .. "xx"
end

-- Never with an initial value: the series of a peer that has left may be dropped while its last request ends, and a
-- counter that nobody lists would stay for ever.
local function count(key)
  counters:incr(key, 1)
end

local function add(peer, status, bytes_sent, header_time, response_time)
  local answered = tonumber(header_time)
  status = tonumber(status)
  local seconds = status == SWITCHED and answered or tonumber(response_time)
  local found = class(status, tonumber(bytes_sent), answered, seconds)
  local keys = peer.counters
  if not found or not keys then
    return
  end
  count(keys.class[found])
  if found ~= "connect" and seconds then
    count(keys.bucket[bucket(seconds)])
    counters:incr(keys.sum, seconds)
  end
end

-- nginx joins the values of several attempts by ", " and, after an internal redirect, " : ".
local function split(text)
  local parts = {}
  for part in (text or ""):gmatch("[^%s,]+") do
    if part ~= ":" then
      parts[#parts + 1] = part
    end
  end
  return parts
end

--- Counts the attempts of a finished request; `tried` are the peers in their order.
function _M.observe(tried)
  local var = ngx.var
  if #tried == 1 then
    add(tried[1], var.upstream_status, var.upstream_bytes_sent, var.upstream_header_time, var.upstream_response_time)
  elseif #tried > 1 then
    local status, sent = split(var.upstream_status), split(var.upstream_bytes_sent)
    local header, response = split(var.upstream_header_time), split(var.upstream_response_time)
    for at, peer in ipairs(tried) do
      add(peer, status[at], sent[at], header[at], response[at])
    end
  end
end

-- Showing ------------------------------------------------------------------------------------------------------

local FAMILIES = {
  { "gopub_edge_attempts_total", "counter", "Attempts at a peer by how they ended; connect: never connected." },
  { "gopub_edge_request_seconds", "histogram", "Seconds from the attempt's begin to the answer's end." },
  { "gopub_edge_inflight", "gauge", "Requests that a host holds now." },
  { "gopub_edge_table_revision", "gauge", "Revision of the route table in force." },
  { "gopub_edge_no_subject_total", "counter", "Requests without the sticky key, sent to stable." },
  { "gopub_edge_unrouted_total", "counter", "Requests answered 503 by the edge itself." },
  { "gopub_edge_tables_refused_total", "counter", "Route tables that were put and not taken." },
  { "gopub_edge_bad_files", "gauge", "Files in the state directory that could not be used at the start." },
}

local function page()
  local lines = {}
  for _, family in ipairs(FAMILIES) do
    lines[family[1]] = {}
  end
  return lines
end

local function say(lines, family, suffix, labels, value)
  local list = lines[family]
  list[#list + 1] = ("%s%s%s %.17g"):format(family, suffix, labels ~= "" and "{" .. labels .. "}" or "", value)
end

local function show_entry(lines, labels, entry)
  local keys = series.keys(entry.number)
  local own = ('%s,release="%s",host="%s"'):format(labels, entry.release, entry.host)
  for _, name in ipairs(series.CLASSES) do
    local value = counters:get(keys.class[name]) or 0
    say(lines, "gopub_edge_attempts_total", "", ('%s,class="%s"'):format(own, name), value)
  end
  local sum = 0
  for at = 1, #BOUNDS + 1 do
    sum = sum + (counters:get(keys.bucket[at]) or 0)
    local le = BOUNDS[at] and ("%g"):format(BOUNDS[at]) or "+Inf"
    say(lines, "gopub_edge_request_seconds", "_bucket", ('%s,le="%s"'):format(own, le), sum)
  end
  say(lines, "gopub_edge_request_seconds", "_sum", own, counters:get(keys.sum) or 0)
  say(lines, "gopub_edge_request_seconds", "_count", own, sum)
end

local function show_upstream(lines, upstream, held)
  local text, revision = tables.text(upstream)
  if not text then
    return
  end
  local doc = cjson.decode(text)
  local labels = ('app="%s",env="%s"'):format(doc.app, doc.env)
  say(lines, "gopub_edge_table_revision", "", labels, revision)
  say(lines, "gopub_edge_no_subject_total", "", labels, counters:get("no-subject/" .. upstream) or 0)
  for _, entry in ipairs(series.list(upstream)) do
    show_entry(lines, labels, entry)
  end
  for host, value in pairs(series.with_zeros(upstream, held)) do
    say(lines, "gopub_edge_inflight", "", ('%s,host="%s"'):format(labels, host), value)
  end
end

local function show_own(lines)
  for _, reason in ipairs({ "no-table", "no-peer" }) do
    say(lines, "gopub_edge_unrouted_total", "", ('reason="%s"'):format(reason), counters:get(reason) or 0)
  end
  say(lines, "gopub_edge_tables_refused_total", "", "", counters:get("refused") or 0)
  say(lines, "gopub_edge_bad_files", "", "", counters:get("bad-files") or 0)
end

--- GET /metrics.
function _M.answer()
  local lines, held = page(), inflight.read()
  for _, upstream in ipairs(tables.names()) do
    show_upstream(lines, upstream, held[upstream])
  end
  show_own(lines)
  local text = {}
  for _, family in ipairs(FAMILIES) do
    local name, kind, help = family[1], family[2], family[3]
    text[#text + 1] = ("# HELP %s %s\n# TYPE %s %s\n"):format(name, help, name, kind)
    for _, line in ipairs(lines[name]) do
      text[#text + 1] = line .. "\n"
    end
  end
  ngx.header.content_type = "text/plain; version=0.0.4"
  ngx.print(table.concat(text)) -- at once: each print is a write of its own
end

return _M
