-- What the edge counts, and its page for Prometheus. Attempts are counted, not answers: one that failed counts
-- against the peer that failed it, whoever answered in the end.

local answer = require "gopub.answer"
local batch = require "gopub.batch"
local cjson = require "cjson"
local endpoint_series = require "gopub.endpoint_series"
local identity = require "gopub.identity"
local inflight = require "gopub.inflight"
local series = require "gopub.series"
local signature = require "gopub.signature"
local source = require "gopub.source"
local tables = require "gopub.tables"
local vars = require "gopub.vars"

local counters = ngx.shared.gopub_counters

local _M = {}

-- Observing ----------------------------------------------------------------------------------------------------

-- A client that left before the answer began is the peer's fault only if it had waited this long, in seconds.
local PATIENCE = 1

local function place(bounds, seconds)
  local at = 1
  while bounds[at] and seconds > bounds[at] do
    at = at + 1
  end
  return at
end

-- A time, as {seconds, its place in the two kinds of histograms}; nil where what nginx writes is none.
local function time_of(text)
  local seconds = tonumber(text)
  return seconds
    and { seconds = seconds, judged = place(series.BOUNDS, seconds), shown = place(series.SHOWN, seconds) }
end

local count = batch.add

local function judge(histogram, time)
  count(histogram[time.judged], 1)
  count(histogram.sum, time.seconds)
end

local function show(histogram, time)
  count(histogram[time.shown], 1)
  count(histogram.sum, time.seconds)
end

local HUNDREDS = { [2] = "2xx", [3] = "3xx", [4] = "4xx", [5] = "5xx" }

-- The class of an attempt that began an answer, which ended as `ending` says. A 5xx is one however it ended.
local function class_of_answer(status, ending, stream)
  if status == answer.SWITCHED then
    return "2xx"
  elseif status < 200 or status > 599 then
    return "5xx"
  elseif status >= 500 or ending == "whole" or (ending == "left" and stream) then -- leaving is how a stream ends
    return HUNDREDS[(status - status % 100) / 100]
  end
  return ending
end

-- The class of an attempt whose answer never began.
local function class_of_silence(status, sent, seconds, protocol)
  if not status then
    local patience = protocol and protocol.patience(vars) or PATIENCE
    return sent and sent > 0 and seconds and seconds >= math.min(PATIENCE, patience) and "timeout" or "left"
  elseif not sent or sent == 0 then -- nginx gives a connect time also for a refused connection
    return "connect"
  end
  return status == 504 and "timeout" or "5xx"
end

-- The time that is the attempt's latency: to the end of the answer, or to its header where the end says nothing.
local function latency(policy, by_header, header, total)
  return header and (policy == "header" or policy ~= "total" and by_header) and header or total
end

local FAILED = { ["5xx"] = true, connect = true, timeout = true, cut = true }

-- The same attempt at one declared endpoint, without its latency where that is nobody's evidence.
local function add_endpoint(keys, found, seconds)
  if not keys or found == "left" then
    return
  end
  count(FAILED[found] and keys.error or keys.ok, 1)
  if seconds and keys.bound then
    count(seconds > keys.bound and keys.slow or keys.fine, 1)
  end
end

-- The class of an attempt that began an answer; and whether its latency is the time to the header.
local function of_answer(flight, policy, status, header, total)
  local ending = flight and answer.ending(flight, status, vars) or "whole"
  local long = total and total.seconds - header.seconds >= 0.001 -- else it makes no difference
  local stream = status == answer.SWITCHED or (long or ending == "left") and answer.is_stream(vars)
  local by_header = policy ~= "header" and (stream or long and answer.is_large(vars))
  local found = flight and flight.protocol and flight.protocol.class(flight, status, vars)
    or class_of_answer(status, ending, stream)
  return found, by_header
end

-- `flight` only for the attempt whose answer went to the client; `cold` where the peer warmed up when it was asked:
-- then its latency is nobody's evidence, and counted apart. `status` is a number, `header` and `total` are times.
-- Without `sent` it was the only one: nginx has no other number.
local function add(peer, endpoint, policy, flight, cold, status, sent, header, total)
  local keys = peer.counters
  if not keys then
    return
  end
  local found, by_header
  if status and header then
    found, by_header = of_answer(flight, policy, status, header, total)
    show(keys.header, header)
  else
    local bytes, protocol = tonumber(sent or vars.upstream_bytes_sent), flight and flight.protocol
    found = class_of_silence(status, bytes, total and total.seconds, protocol)
  end
  count(keys.class[found], 1)
  local time = total and found ~= "connect" and found ~= "left" and latency(policy, by_header, header, total)
  if time then
    judge(cold and keys.warming or keys.latency, time)
    show(keys.total, total)
  end
  if endpoint then
    add_endpoint(peer.endpoints and peer.endpoints[endpoint], found, not cold and time and time.seconds)
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

local NONE = {}

-- The places of our attempts among nginx's `values` values. It has more where error_page led on to a peer that is not
-- ours, or from one to us: an attempt is told by its address.
local function places(flight, values)
  local addresses = values > flight.tries and split(vars.upstream_addr)
  local found, at = {}, 0
  for try = 1, flight.tries do
    at = at + 1
    local peer = flight.tried[try]
    local own = addresses and peer.ip .. ":" .. peer.port
    local there = at
    while addresses and there <= values and addresses[there] ~= own do
      there = there + 1
    end
    at = there <= values and there or at
    found[try] = at
  end
  return found
end

-- Where there were several attempts, nginx has a value for each.
local function add_all(flight, endpoint, policy, cold)
  local status, sent = split(vars.upstream_status), split(vars.upstream_bytes_sent)
  local header, response = split(vars.upstream_header_time), split(vars.upstream_response_time)
  local place_of = places(flight, #status)
  for try = 1, flight.tries do
    local at = place_of[try]
    local whole = try == flight.tries and at >= #status and flight or nil
    local known = try > flight.from and endpoint or nil
    add(flight.tried[try], known, policy, whole, cold[try], tonumber(status[at]), sent[at] or "",
      time_of(header[at]), time_of(response[at]))
  end
end

local MOST_KNOWN = 8192

-- What nginx writes of the only attempt, taken apart once for all that went alike.
local attempts, kinds = {}, 0

local function attempt(text)
  local status, header, total, sized = text:match("^([^|]*)|([^|]*)|([^|]*)|(.*)$")
  if kinds >= MOST_KNOWN then
    attempts, kinds = {}, 0
  end
  local found = {
    status = tonumber(status), header = time_of(header), total = time_of(total), sized = sized ~= "",
    several = status:find(" ", 1, true) ~= nil,
  }
  attempts[text], kinds = found, kinds + 1
  return found
end

-- Whole answers that came and went within a millisecond are most, and of them the router knows when: what nginx would
-- write of it costs more than all that is counted. By status and milliseconds; as nginx writes the status.
local soon, written = {}, {}
local LONGEST_KNOWN = 1000 -- milliseconds

for milliseconds = 0, LONGEST_KNOWN do
  soon[milliseconds] = time_of(milliseconds / 1000)
end
for status = 200, 499 do
  written[status] = tostring(status)
end

-- How long the only attempt took, to the header and to the end alike; nil where nginx has to say it: an answer that it
-- made itself (its word, a page out of a cache, that of another location) has another status than the peer, or one that
-- it gives to failures.
local function took(flight)
  local status = flight.at_once and flight.answering and flight.before == 0 and not flight.protocol
    and written[flight.status]
  return status and vars.upstream_status == status and soon[flight.headed - flight.asked] or nil
end

-- The only attempt of most requests.
local function add_one(flight, endpoint, policy, cold)
  local peer, time = flight.tried[1], took(flight)
  if time then
    return add(peer, endpoint, policy, flight, cold, flight.status, nil, time, time)
  end
  local text = vars.gopub_attempt
  if text then
    local seen = attempts[text] or attempt(text)
    if seen.several then -- not all of them ours
      return add_all(flight, endpoint, policy, flight.cold or NONE)
    end
    flight.sized = seen.sized
    add(peer, endpoint, policy, flight, cold, seen.status, nil, seen.header, seen.total)
  else -- gopub-http.conf is of an older version
    add(peer, endpoint, policy, flight, cold, tonumber(vars.upstream_status), nil, time_of(vars.upstream_header_time),
      time_of(vars.upstream_response_time))
  end
end

--- Counts the attempts of a finished request; `flight.tried` are the peers in their order.
function _M.observe(flight)
  local endpoint, policy, cold = flight.endpoint, flight.route.latency, flight.cold
  if flight.tries == 1 then
    add_one(flight, endpoint, policy, cold and cold[1])
  elseif flight.tries > 1 then
    add_all(flight, endpoint, policy, cold or NONE)
  end
end

-- Showing ------------------------------------------------------------------------------------------------------

local FAMILIES = {
  { "gopub_edge_attempts_total", "counter", "Attempts at a peer by how they ended." },
  { "gopub_edge_request_seconds", "histogram", "Latency: seconds to the answer's end, of a stream to its header." },
  { "gopub_edge_warming_request_seconds", "histogram", "The same of peers that warmed up when they were asked." },
  { "gopub_edge_header_seconds", "histogram", "Seconds from the attempt's begin to the answer's header." },
  { "gopub_edge_total_seconds", "histogram", "Seconds from the attempt's begin to the answer's end." },
  { "gopub_edge_endpoint_attempts_total", "counter", "Attempts for a declared endpoint: ok, or error." },
  { "gopub_edge_endpoint_answers_total", "counter", "Their answers with a latency: fine, or slow by its bound." },
  { "gopub_edge_inflight", "gauge", "Requests that a host holds now." },
  { "gopub_edge_table_revision", "gauge", "Revision of the route table in force, and who counts here." },
  { "gopub_edge_no_subject_total", "counter", "Requests without the sticky key, sent to stable." },
  { "gopub_edge_bad_tags_total", "counter", "Requests whose x-gray-tag is no list of tags, sent to stable." },
  { "gopub_edge_unrouted_total", "counter", "Requests answered by the edge itself: 503, or 413 (too-large)." },
  { "gopub_edge_tables_refused_total", "counter", "Route tables that were put and not taken." },
  { "gopub_edge_unsigned_total", "counter", "Route tables whose signature did not count, put or found on the disk." },
  { "gopub_edge_table_keys", "gauge", "Key files, by whether they can be used." },
  { "gopub_edge_bad_files", "gauge", "Files in the state directory that could not be used at the start." },
  { "gopub_edge_source_up", "gauge", "1 while the source of route tables answers this edge's watcher." },
  { "gopub_edge_source_last_success_timestamp_seconds", "gauge", "When the source last answered, 0 never." },
  { "gopub_edge_source_refused_total", "counter", "Values of the source that were not taken." },
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

local function show_histogram(lines, family, labels, keys)
  local bounds, sum = keys.bounds, 0
  for at = 1, #bounds + 1 do
    sum = sum + (counters:get(keys[at]) or 0)
    local le = bounds[at] and ("%g"):format(bounds[at]) or "+Inf"
    say(lines, family, "_bucket", ('%s,le="%s"'):format(labels, le), sum)
  end
  say(lines, family, "_sum", labels, counters:get(keys.sum) or 0)
  say(lines, family, "_count", labels, sum)
end

-- A series that no table names has those of its endpoints that it was counted for.
local function show_endpoint(lines, own, endpoint, number)
  local keys = endpoint_series.keys(number, endpoint)
  local labels = ('%s,endpoint="%s",'):format(own, endpoint.match)
  local ok = counters:get(keys.ok)
  if not ok then
    return
  end
  say(lines, "gopub_edge_endpoint_attempts_total", "", labels .. 'outcome="ok"', ok)
  say(lines, "gopub_edge_endpoint_attempts_total", "", labels .. 'outcome="error"', counters:get(keys.error) or 0)
  if keys.bound then
    say(lines, "gopub_edge_endpoint_answers_total", "", labels .. 'pace="fine"', counters:get(keys.fine) or 0)
    say(lines, "gopub_edge_endpoint_answers_total", "", labels .. 'pace="slow"', counters:get(keys.slow) or 0)
  end
end

local function show_entry(lines, labels, entry, endpoints)
  local keys = series.keys(entry.number)
  local own = ('%s,release="%s",host="%s"'):format(labels, entry.release, entry.host)
  for _, name in ipairs(series.CLASSES) do
    local value = counters:get(keys.class[name]) or 0
    say(lines, "gopub_edge_attempts_total", "", ('%s,class="%s"'):format(own, name), value)
  end
  show_histogram(lines, "gopub_edge_request_seconds", own, keys.latency)
  if entry.ends then
    show_histogram(lines, "gopub_edge_warming_request_seconds", own, keys.warming)
  end
  show_histogram(lines, "gopub_edge_header_seconds", own, keys.header)
  show_histogram(lines, "gopub_edge_total_seconds", own, keys.total)
  for _, endpoint in ipairs(endpoints) do
    show_endpoint(lines, own, endpoint, entry.number)
  end
end

local function show_upstream(lines, upstream, held)
  local text, revision = tables.text(upstream)
  if not text then
    return
  end
  local doc = cjson.decode(text)
  local labels = ('app="%s",env="%s"'):format(doc.app, doc.env)
  say(lines, "gopub_edge_table_revision", "", ('%s,edge_id="%s"'):format(labels, identity.read()), revision)
  say(lines, "gopub_edge_no_subject_total", "", labels, counters:get("no-subject/" .. upstream) or 0)
  say(lines, "gopub_edge_bad_tags_total", "", labels, counters:get("bad-tags/" .. upstream) or 0)
  local endpoints = endpoint_series.list(upstream)
  for _, entry in ipairs(series.list(upstream)) do
    show_entry(lines, labels, entry, endpoints)
  end
  for host, value in pairs(series.with_zeros(upstream, held)) do
    say(lines, "gopub_edge_inflight", "", ('%s,host="%s"'):format(labels, host), value)
  end
end

local function show_own(lines)
  for _, reason in ipairs({ "no-table", "no-peer", "too-large" }) do
    say(lines, "gopub_edge_unrouted_total", "", ('reason="%s"'):format(reason), counters:get(reason) or 0)
  end
  say(lines, "gopub_edge_tables_refused_total", "", "", counters:get("refused") or 0)
  for _, reason in ipairs(signature.REASONS) do
    local found = counters:get("unsigned/" .. reason) or 0
    say(lines, "gopub_edge_unsigned_total", "", ('reason="%s"'):format(reason), found)
  end
  for _, state in ipairs({ "usable", "broken" }) do
    say(lines, "gopub_edge_table_keys", "", ('state="%s"'):format(state), counters:get("keys/" .. state) or 0)
  end
  say(lines, "gopub_edge_bad_files", "", "", counters:get("bad-files") or 0)
end

-- Nothing on an edge whose tables are put by the driver alone.
local function show_source(lines)
  local report = source.read()
  if report then
    local labels = ('kind="%s"'):format(report.kind)
    say(lines, "gopub_edge_source_up", "", labels, report.up and 1 or 0)
    say(lines, "gopub_edge_source_last_success_timestamp_seconds", "", labels, report.last)
    say(lines, "gopub_edge_source_refused_total", "", labels, report.refused)
  end
end

--- GET /metrics.
function _M.answer()
  batch.settle()
  local lines, held = page(), inflight.read()
  for _, upstream in ipairs(tables.names()) do
    show_upstream(lines, upstream, held[upstream])
  end
  show_own(lines)
  show_source(lines)
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
