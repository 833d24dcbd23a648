-- The phases of a request: decide (access), balance (once per attempt), name_peer (answer headers), note_end (answer
-- body), log.

local ffi = require "ffi"
local add_header = require("ngx.req").add_header
local balancer = require "ngx.balancer"
local base = require "resty.core.base"
local batch = require "gopub.batch"
local connection = require "gopub.connection"
local context = require "gopub.context"
local decide = require "gopub.decide"
local endpoints = require "gopub.endpoints"
local farewell = require "gopub.farewell"
local forwarded = require "gopub.forwarded"
local grpc = require "gopub.grpc"
local inflight = require "gopub.inflight"
local metrics = require "gopub.metrics"
local scan = require "gopub.scan"
local tables = require "gopub.tables"
local ticks = require "gopub.ticks"
local turns = require "gopub.turns"
local vars = require "gopub.vars"

local counters = ngx.shared.gopub_counters
local get_request, cast = base.get_request, ffi.cast

require("jit").opt.start("maxrecord=16000", "maxsnap=2000", "maxirconst=2000", "maxside=300")

local _M = {}

-- What is known of each request on its way, by the address of its nginx structure. Not ngx.ctx, which nginx wipes
-- when error_page sends the request elsewhere: the peer's count would never go down again.
local flights = {}
local spare, spares = {}, 0 -- flights that have landed: a table for each request is work for the collector

-- LuaJIT makes machine code of a function that is called often, unless it meets a loop in it; and it follows few calls
-- that end a function. So what is done for each request stands in small functions without a loop, and with brackets
-- around a call at their end.
local function id()
  return (tonumber(cast("uintptr_t", get_request())))
end

-- A flight without anything of the request that it was for. What is not there is false, never nil, in every table that
-- is written for each request: of a nil LuaJIT makes a new key, for which it counts and moves the whole table.
local function cleared(flight)
  local tried = flight.tried
  for at = 1, flight.tries do
    tried[at] = false
  end
  flight.tries, flight.before, flight.from = 0, 0, 0 -- attempts; those of another location, table
  flight.cold, flight.peer, flight.moved = false, false, false
  flight.answering, flight.passed, flight.ended, flight.sized = false, false, false, false
  flight.asked, flight.headed, flight.status, flight.at_once = 0, 0, 0, false
  return flight
end

local function new_flight()
  if spares == 0 then
    return (cleared({ tried = {}, tries = 0 }))
  end
  spares = spares - 1
  return spare[spares + 1]
end

local function land(flight)
  spares = spares + 1
  spare[spares] = cleared(flight)
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

local function wants(route)
  local names = { "baggage", unpack(route.headers) }
  for _, name in ipairs(forwarded.READS) do
    if route.trust or name == "host" then
      names[#names + 1] = name
    end
  end
  route.wants = scan.wants(names)
  return route.wants
end

-- The request that is being decided, and what nginx knows of its connection. One for all: nothing waits while one is.
local seen
local request = {}
local claims = {}

local function look_at(route)
  local remote = seen.remote
  request.address = remote
  request.trusted = route.trust ~= nil and route.trusts(remote)
  request.now = ngx.now()
  request.method = route.asks_method and ngx.req.get_method() or false
  request.path = route.asks_path and vars.uri or false
  request.query = route.asks_query and vars.args or false
end

local function take_claims(claimed)
  for at = 1, claimed do
    ngx.req.clear_header(claims[at])
  end
end

-- One line; without a value: none. Where none came there is none to replace.
local function say(name, value, came)
  if value and not came then
    add_header(name, value)
  else
    ngx.req.set_header(name, value)
  end
end

local function tell_origin()
  local headers = request.headers
  local chain, proto, host, port = forwarded.values(request, seen)
  say("X-Forwarded-For", chain, headers["x-forwarded-for"])
  say("X-Forwarded-Proto", proto, headers["x-forwarded-proto"])
  say("X-Forwarded-Host", host, headers["x-forwarded-host"])
  say("X-Forwarded-Port", port, headers["x-forwarded-port"])
end

local function settle(flight)
  local peer = flight.peer
  if peer then
    inflight.down(peer)
    flight.peer = false
  end
end

-- error_page sent on, to this location, what was decided before: track and rule stay, whatever its own path is. Only
-- where the table has no such track any more it is decided anew.
local function goes_on(flight, route)
  local track = flight.route.key == route.key and route.tracks[flight.track.name]
  if not track then
    return false
  end
  if flight.route ~= route then
    flight.route, flight.track, flight.endpoint = route, track, false
  end
  return true
end

local function route_of_request()
  local route = tables.get(vars.gopub_upstream or "")
  return route
end

-- The flight of a request that came here before; and whether its decision stands.
local function come_again(flight, route, began, protocol)
  settle(flight)
  local again = flight.began == began and ngx.req.is_internal() -- else a location replaced our log phase
  if not again then
    cleared(flight)
  end
  flight.began, flight.before, flight.moved = began, flight.tries, false
  flight.answering, flight.passed, flight.ended, flight.at_once = false, false, false, false
  flight.patience, flight.protocol = seen.patience, protocol or false
  return again, again and goes_on(flight, route)
end

local function decided(route)
  local track, rule = decide.decide(route, request)
  if rule == "no-subject" then
    batch.add(route.no_subject, 1)
  elseif rule == "bad-tags" then
    batch.add(route.bad_tags, 1)
  end
  return track, rule
end

local function take_off(flight, route, track, rule)
  flight.from, flight.route, flight.track, flight.rule = flight.tries, route, route.tracks[track], rule
  flight.endpoint = route.endpoints and endpoints.find(route.endpoints, ngx.req.get_method(), vars.uri) or false
end

local function begin(key, began, protocol)
  local flight = new_flight()
  flights[key] = flight
  flight.began, flight.patience, flight.protocol = began, seen.patience, protocol or false
  return flight
end

--- Access phase: chooses track and rule, or answers 503. `tells` says that the location leaves it to us to tell where
-- the request came from: an older one adds lines of its own. `protocol` counts answers otherwise than HTTP does.
function _M.decide(tells, protocol)
  local route = route_of_request()
  if not route then
    return refuse("no-table", "this edge has no table for that upstream")
  end
  seen = connection.read()
  local key, began = id(), ngx.req.start_time()
  local flight = flights[key]
  local again = false
  if flight then
    local stands
    again, stands = come_again(flight, route, began, protocol)
    if stands then
      return
    end
  end
  look_at(route)
  local claimed = scan.read(route.wants or wants(route), request, claims)
  if claimed > 0 and not request.trusted then
    take_claims(claimed)
  end
  local track, rule = decided(route)
  if not track then
    return refuse("no-peer", "no peer can take requests for that upstream")
  end
  context.pass(route, request, track, rule)
  if tells and not (again and request.trusted) then -- told once: the address must not be added again
    tell_origin()
  end
  take_off(flight or begin(key, began, protocol), route, track, rule)
end

-- Balancing ----------------------------------------------------------------------------------------------------

-- The peer of the next attempt. A canary that failed gives way to stable, a stable peer to another one. Where only
-- a kept connection had been closed, nginx grants an attempt of its own accord: it takes the same way.
local function next_peer(flight)
  local stable = flight.route.tracks.stable
  local last = flight.tries > flight.before and flight.tried[flight.tries] or nil
  if last and flight.track.name == "stable" then
    turns.rest(last)
  elseif last and stable and flight.route.fallback then
    flight.track = stable
    flight.rule = flight.rule .. "/fallback"
    flight.moved = false
  end
  local peer = turns.take(flight.track)
  if peer == last and flight.track.count > 1 then
    peer = turns.take(flight.track)
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
    local why = ngx.is_subrequest and "a subrequest (auth_request, mirror, SSI) cannot be routed"
      or "a request came to the balancer without gopub-location.conf"
    ngx.log(ngx.ERR, "gopub: ", why)
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
  local at = flight.tries + 1
  flight.tries, flight.tried[at], flight.asked = at, peer, ticks.now()
  if peer.ends and ngx.now() < peer.ends then
    flight.cold = flight.cold or {} -- for few requests only
    flight.cold[at] = true
  end
  flight.peer = peer
  inflight.up(peer)
end

-- Answering ----------------------------------------------------------------------------------------------------

-- Whether nginx itself refused the body (client_max_body_size): by its length before any phase of ours, or while it
-- was read.
local function is_refused_body()
  return ngx.status == 413 and not vars.upstream_status
end

-- The rule with the revision, put together once for many answers.
local function said_of(route, rule)
  local said = route.said or {}
  route.said = said
  local text = said[rule]
  if not text then
    text = rule .. route.at_revision
    said[rule] = text
  end
  return text
end

--- Header filter: says which peer of which release answered, by which rule of which revision. `ends` says that the
-- location calls note_end, too: one that somebody wrote himself, or that is older, may not.
function _M.name_peer(ends)
  local flight = flights[id()]
  local peer = flight and flight.tried[flight.tries]
  if peer then
    local header = ngx.header
    header["x-gopub-release"] = peer.release
    header["x-gopub-peer"] = peer.host
    header["x-gopub-rule"] = said_of(flight.route, flight.rule)
    flight.answering, flight.status, flight.headed = ends or false, ngx.status, ticks.now()
    flight.sized = header["content-length"] ~= nil
    if farewell.is_on() then
      header["connection"] = "close"
    end
  elseif is_refused_body() then
    ngx.header["x-gopub-rule"] = "none" -- the edge's own word, and not that of the service
  end
end

--- Body filter: notes the end of the answer. Where the peer closed too early or stalled, nginx passes none.
function _M.note_end()
  local flight = flights[id()]
  if flight then
    local ended = ngx.arg[2]
    flight.passed, flight.ended = true, ended
    flight.at_once = ended and flight.headed == ticks.now()
  end
end

--- Log phase: settles the request and counts its attempts.
function _M.log()
  local key = id()
  local flight = flights[key]
  if is_refused_body() and (flight or ngx.header["x-gopub-rule"] or (vars.gopub_upstream or "") ~= "") then
    counters:incr("too-large", 1) -- not what other locations of this nginx refused
  end
  if flight then
    flights[key] = nil
    settle(flight)
    metrics.observe(flight)
    land(flight)
  end
end

return _M
