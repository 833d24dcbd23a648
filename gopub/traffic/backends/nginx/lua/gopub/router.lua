-- The phases of a request: decide (access), balance (once per attempt), name_peer (answer headers), note_end (answer
-- body), log.

local ffi = require "ffi"
local address = require "gopub.address"
local balancer = require "ngx.balancer"
local base = require "resty.core.base"
local context = require "gopub.context"
local decide = require "gopub.decide"
local endpoints = require "gopub.endpoints"
local forwarded = require "gopub.forwarded"
local grpc = require "gopub.grpc"
local inflight = require "gopub.inflight"
local metrics = require "gopub.metrics"
local tables = require "gopub.tables"

local counters = ngx.shared.gopub_counters

local _M = {}

-- What is known of each request on its way, by the address of its nginx structure. Not ngx.ctx, which nginx wipes
-- when error_page sends the request elsewhere: the peer's count would never go down again.
local flights = {}

local function id()
  return tonumber(ffi.cast("uintptr_t", base.get_request()))
end

-- Deciding -----------------------------------------------------------------------------------------------------

local function refuse(counter, text)
  counters:incr(counter, 1, 0)
  ngx.header.x_gopub_rule = "none"
  if grpc.asks(ngx.var) then
    return grpc.refuse(text)
  end
  ngx.status = 503
  ngx.header.content_type = "text/plain"
  ngx.say("gopub: ", text)
  return ngx.exit(ngx.HTTP_OK)
end

local function strip_claims(headers)
  for name in pairs(headers) do
    if forwarded.is_claim(name) then
      ngx.req.clear_header(name)
    end
  end
end

local function look_at(route)
  local remote = ngx.var.remote_addr
  local request = {
    headers = ngx.req.get_headers(0), -- all of them: a header beyond the hundredth must not slip through
    address = remote,
    trusted = route.trust ~= nil and address.is_in(route.trust, remote),
    now = ngx.now(),
  }
  if route.rules[1] then -- each is a call into nginx
    request.method, request.path, request.query = ngx.req.get_method(), ngx.var.uri, ngx.var.args
  end
  if not request.trusted then
    strip_claims(request.headers)
  end
  return request
end

local function tell_origin(request)
  local var = ngx.var
  local values = forwarded.values(request, { proto = var.scheme, host = var.http_host, port = var.server_port })
  for _, name in ipairs(forwarded.NAMES) do
    ngx.req.set_header(name, values[name]) -- one line; without a value: none
  end
end

local function settle(flight)
  local peer = flight and flight.peer
  if peer then
    inflight.down(peer.inflight)
    flight.peer = nil
  end
end

-- How long a connection to a peer may take to come about, in seconds; what is no such number is as if not said.
local function patience()
  local seconds = tonumber(ngx.var.gopub_connect_timeout)
  return seconds and seconds >= 0.001 and seconds <= 60 and seconds or 2
end

-- Which declared endpoint the client asked for: what error_page made of it is none of its own.
local function endpoint(route, earlier)
  if earlier and ngx.req.is_internal() then
    return earlier.endpoint
  end
  return route.endpoints and endpoints.find(route.endpoints, ngx.req.get_method(), ngx.var.uri)
end

--- Access phase: chooses track and rule, or answers 503. `tells` says that the location leaves it to us to tell where
-- the request came from: an older one adds lines of its own. `protocol` counts answers otherwise than HTTP does.
function _M.decide(tells, protocol)
  local upstream = ngx.var.gopub_upstream or ""
  local route = tables.get(upstream)
  if not route then
    return refuse("no-table", "this edge has no table for that upstream")
  end
  local request = look_at(route)
  local track, rule = decide.decide(route, request)
  if rule == "no-subject" then
    counters:incr(route.no_subject, 1) -- made with the table: an initial value could push others out of a full dict
  elseif rule == "bad-tags" then
    counters:incr(route.bad_tags, 1)
  end
  if not track then
    return refuse("no-peer", "no peer can take requests for that upstream")
  end
  context.pass(route, request, track, rule)
  local key = id()
  local earlier = flights[key] -- error_page sent it here, or a location replaced our log phase
  settle(earlier)
  if tells and not (earlier and ngx.req.is_internal()) then -- told once: the address must not be added again
    tell_origin(request)
  end
  flights[key] = {
    route = route, track = route.tracks[track], rule = rule, tried = {}, patience = patience(),
    endpoint = endpoint(route, earlier), protocol = protocol,
  }
end

-- Balancing ----------------------------------------------------------------------------------------------------

-- Stable peers that failed a moment ago, with the time until which this worker lets them rest while others are there
-- (nginx's own max_fails=1 fail_timeout=10s). A canary never rests: each of its failures is evidence.
local resting = {}
local REST = 10

local function step(track)
  local at = track.last % track.count + 1
  track.last = at
  return track.peers[at]
end

local function any_turn(track)
  local peer = step(track)
  if next(resting) == nil or track.name == "canary" then
    return peer
  end
  for _ = 1, track.count do
    local until_then = resting[peer.inflight]
    if not until_then or until_then <= ngx.now() then
      resting[peer.inflight] = nil
      return peer
    end
    peer = step(track)
  end
  return peer -- all of them rest: none does
end

-- A peer that warms up lets others have a part of its turns, less and less; where all of them do, the last is taken.
local function take_turn(track)
  local peer = any_turn(track)
  local now = ngx.now()
  if now >= track.warm_at then
    return peer
  end
  for _ = 2, track.count do
    if not peer.since or math.random() < decide.share(track.warmup, peer.since, now) then
      return peer
    end
    peer = any_turn(track)
  end
  return peer
end

-- The peer of the next attempt. A canary that failed gives way to stable, a stable peer to another one. Where only
-- a kept connection had been closed, nginx grants an attempt of its own accord: it takes the same way.
local function next_peer(flight)
  local stable = flight.route.tracks.stable
  local last = flight.tried[#flight.tried]
  if last and flight.track.name == "stable" then
    resting[last.inflight] = ngx.now() + REST
  elseif last and stable and flight.route.fallback then
    flight.track = stable
    flight.rule = flight.rule .. "/fallback"
    flight.moved = false
  end
  local peer = take_turn(flight.track)
  if peer == last and flight.track.count > 1 then
    peer = take_turn(flight.track)
  end
  return peer
end

-- How many more attempts there may be after the one that begins: a canary falls back to stable where there is one
-- and it may; within a track one other peer is tried, once.
local function more_tries(flight)
  if flight.track.name == "canary" and flight.route.tracks.stable then
    return flight.route.fallback and 1 or 0
  end
  if flight.moved or flight.track.count == 1 then
    return 0
  end
  flight.moved = true
  return 1
end

--- Balancer phase: names the peer of one attempt.
function _M.balance()
  local flight = flights[id()]
  if not flight then
    ngx.log(ngx.ERR, "gopub: a request came to the balancer without gopub-location.conf")
    return ngx.exit(500)
  end
  settle(flight)
  local peer = next_peer(flight)
  local more = more_tries(flight)
  if more > 0 then
    balancer.set_more_tries(more)
  end
  balancer.set_timeouts(flight.patience, nil, nil)
  local fine, problem = balancer.set_current_peer(peer.ip, peer.port)
  if not fine then
    ngx.log(ngx.ERR, "gopub: ", peer.host, ": ", problem)
    return ngx.exit(500)
  end
  flight.tried[#flight.tried + 1] = peer
  if peer.ends and ngx.now() < peer.ends then
    flight.cold = flight.cold or {} -- for few requests only
    flight.cold[#flight.tried] = true
  end
  flight.peer = peer
  inflight.up(peer.inflight)
end

-- Answering ----------------------------------------------------------------------------------------------------

-- Whether nginx itself refused the body (client_max_body_size): by its length before any phase of ours, or while it
-- was read.
local function is_refused_body()
  return ngx.status == 413 and not ngx.var.upstream_status
end

--- Header filter: says which peer of which release answered, by which rule of which revision. `ends` says that the
-- location calls note_end, too: one that somebody wrote himself, or that is older, may not.
function _M.name_peer(ends)
  local flight = flights[id()]
  local peer = flight and flight.tried[#flight.tried]
  if peer then
    local header = ngx.header
    header["x-gopub-release"] = peer.release
    header["x-gopub-peer"] = peer.host
    header["x-gopub-rule"] = flight.rule .. flight.route.at_revision
    flight.answering = ends
  elseif is_refused_body() then
    ngx.header["x-gopub-rule"] = "none" -- the edge's own word, and not that of the service
  end
end

--- Body filter: notes the end of the answer. Where the peer closed too early or stalled, nginx passes none.
function _M.note_end()
  local flight = flights[id()]
  if flight then
    flight.passed = true
    flight.ended = ngx.arg[2]
  end
end

--- Log phase: settles the request and counts its attempts.
function _M.log()
  local key = id()
  local flight = flights[key]
  if is_refused_body() and (flight or ngx.header["x-gopub-rule"] or (ngx.var.gopub_upstream or "") ~= "") then
    counters:incr("too-large", 1) -- not what other locations of this nginx refused
  end
  if flight then
    flights[key] = nil
    settle(flight)
    metrics.observe(flight)
  end
end

return _M
