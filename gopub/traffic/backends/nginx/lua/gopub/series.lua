-- The counters of each (release, host) of an upstream: which there are, and what they are called in the shared dict.
-- They begin at 0 when a table first names the peer, so that a rate exists from the first request on.

local cjson = require "cjson"
local endpoint_series = require "gopub.endpoint_series"

local store = ngx.shared.gopub_tables
local counters = ngx.shared.gopub_counters

local _M = {}

--- Upper bounds of the latency buckets in seconds; the last bucket has none.
_M.BOUNDS = {
  0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1, 1.5, 2.5, 5, 10,
}
--- Upper bounds of what is only shown: the time to the header and the time to the end, of every answer.
_M.SHOWN = { 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600 }
_M.CLASSES = { "2xx", "3xx", "4xx", "5xx", "connect", "timeout", "cut", "left", "unknown_end" }

local KEPT = 3600 -- seconds that the series of a peer outlive its place in the table
-- As many series that no table names any more are kept, or as many as the table has peers: a whole rollout leaves one
-- behind for each host, and the judge asks for none that is older.
local LEFT = 1000

-- One histogram of a series; `mark` tells it from the others.
local function histogram(number, mark, bounds)
  local keys = { bounds = bounds, sum = number .. mark .. "s" }
  for at = 1, #bounds + 1 do
    keys[at] = number .. mark .. at
  end
  return keys
end

--- The names of one series' counters, by its number: {class = {name = key}, latency, header, total, warming =
-- histograms}. Those of `warming` are there only where the entry has `ends`: where the peer was named as a new one.
function _M.keys(number)
  local keys = {
    class = {},
    latency = histogram(number, "b", _M.BOUNDS),
    header = histogram(number, "h", _M.SHOWN),
    total = histogram(number, "t", _M.SHOWN),
    warming = histogram(number, "w", _M.BOUNDS),
  }
  for _, class in ipairs(_M.CLASSES) do
    keys.class[class] = number .. class
  end
  return keys
end

local function each_of(histogram_keys, act)
  act(histogram_keys.sum)
  for _, key in ipairs(histogram_keys) do
    act(key)
  end
end

local function each_counter(number, act)
  local keys = _M.keys(number)
  for _, key in pairs(keys.class) do
    act(key)
  end
  for _, name in ipairs({ "latency", "header", "total" }) do
    each_of(keys[name], act)
  end
end

--- All series of an upstream: a list of {number, release, host, named, seen, since, ends}. `ends` is when the peer has
-- warmed up, which it began at `since`; neither where no table ever said that it does.
function _M.list(upstream)
  local text = store:get("series/" .. upstream)
  return text and cjson.decode(text) or {}
end

local function named_by(doc)
  local named = {}
  for _, key in ipairs({ "stable", "canary" }) do
    if doc[key] ~= cjson.null then
      for _, peer in ipairs(doc[key].peers) do
        local release = doc[key].release:sub(1, 12)
        named[release .. "/" .. peer.host] = {
          release = release, host = peer.host, since = peer.since, warmup = peer.since and doc.warmup or 0,
        }
      end
    end
  end
  return named
end

-- Until when a peer warms up that is wanted so, of which `old` is known. A table without `since` takes nothing back: it
-- may be there for an edge of an older version. A start that lies ahead is the clock's fault and lengthens nothing.
local function warmth(want, old, now)
  if not want or want.warmup <= 0 or (old.since and math.abs(old.since - want.since) < 0.01) then -- JSON rounds
    return old.since, old.ends
  end
  return want.since, math.min(want.since, now + 1) + want.warmup
end

-- Adds what `each` goes through at 0; the reason where there is no room.
local function add(each, of)
  local problem
  each(of, function(key)
    local fine, why = counters:safe_add(key, 0)
    if not fine and why ~= "exists" then
      problem = why
    end
  end)
  return problem
end

local function create(entry)
  local number, problem = counters:incr("series", 1, 0)
  if not number then
    return nil, problem
  end
  entry.number = number
  problem = add(each_counter, number)
  if entry.ends and not problem then
    problem = add(each_of, _M.keys(number).warming)
  end
  return entry, problem
end

local function delete(key)
  counters:delete(key)
end

local function forget(entry)
  each_counter(entry.number, delete)
  each_of(_M.keys(entry.number).warming, delete)
end

-- The entries in four lists: those that the document names; those that only the table in force does; those that were
-- named within the hour, newest first; and what is older. What is wanted besides stays in `named`.
-- While a canary is in the table its rollout lives, and no series may vanish under the judge's eyes.
local function sort_out(entries, named, doc, now)
  local kept, leaving, left, gone = {}, {}, {}, {}
  for _, old in ipairs(entries) do
    local key = old.release .. "/" .. old.host
    local since, ends = warmth(named[key], old, now)
    local entry = {
      number = old.number, release = old.release, host = old.host, since = since, ends = ends,
      named = named[key] ~= nil, seen = old.named and now or old.seen, is_new = ends and not old.ends or nil,
    }
    if entry.named then
      named[key] = nil
      kept[#kept + 1] = entry
    elseif old.named then
      leaving[#leaving + 1] = entry
    elseif doc.canary == cjson.null and now - entry.seen > KEPT then
      gone[#gone + 1] = entry
    else
      left[#left + 1] = entry
    end
  end
  table.sort(left, function(one, other)
    if one.seen ~= other.seen then
      return one.seen > other.seen
    end
    return one.number > other.number
  end)
  return kept, leaving, left, gone
end

-- Moves what `left` has beyond `most` to `gone`.
local function cut(left, most, gone)
  for at = #left, most + 1, -1 do
    gone[#gone + 1] = table.remove(left, at)
  end
end

local function forget_all(entries)
  for _, entry in ipairs(entries) do
    forget(entry)
  end
end

local function cool(kept)
  for _, entry in ipairs(kept) do
    if entry.is_new then
      each_of(_M.keys(entry.number).warming, delete)
    end
  end
end

-- The series of all that is wanted, and what the entries in `kept` lack that warm up for the first time; nil and the
-- reason, with none of them made, when there is no room.
local function create_all(wanted, kept, now)
  local made = {}
  for _, entry in ipairs(kept) do
    local problem = entry.is_new and add(each_of, _M.keys(entry.number).warming)
    if problem then
      cool(kept)
      return nil, problem
    end
  end
  for _, peer in pairs(wanted) do
    local since, ends = warmth(peer, {}, now)
    local entry, problem = create({
      release = peer.release, host = peer.host, named = true, seen = now, since = since, ends = ends,
    })
    made[#made + 1] = entry
    if problem then
      forget_all(made)
      cool(kept)
      return nil, problem
    end
  end
  return made
end

local function size(set)
  local sum = 0
  for _ in pairs(set) do
    sum = sum + 1
  end
  return sum
end

local function append(list, more)
  for _, entry in ipairs(more) do
    list[#list + 1] = entry
  end
  return list
end

-- The entries without those that were forgotten; as the table in force left them, for the new one is not taken.
local function without(entries, gone)
  local numbers, rest = {}, {}
  for _, entry in ipairs(gone) do
    numbers[entry.number] = true
  end
  for _, entry in ipairs(entries) do
    if not numbers[entry.number] then
      rest[#rest + 1] = entry
    end
  end
  return rest
end

local function save(upstream, entries)
  return store:safe_set("series/" .. upstream, cjson.encode(entries))
end

--- Makes the series of every peer of the document and drops those that are not needed: long unused, or more than a
-- rollout leaves behind. nil and the reason without memory. Only under the lock of the upstream.
function _M.ensure(doc)
  local now = ngx.time()
  local wanted = named_by(doc)
  local peers = size(wanted)
  local entries = _M.list(doc.upstream)
  local kept, leaving, left, gone = sort_out(entries, wanted, doc, now)
  cut(left, math.max(0, math.max(LEFT, peers) - #leaving), gone)
  forget_all(gone)
  endpoint_series.forget(doc.upstream, gone)
  local made, problem = create_all(wanted, kept, now)
  if not made then
    cut(left, 0, gone)
    forget_all(gone)
    endpoint_series.clear(doc.upstream, entries)
    made, problem = create_all(wanted, kept, now)
  end
  if not made then
    save(doc.upstream, without(entries, gone))
    return nil, ("no room for the counters of %d peers (%s): enlarge lua_shared_dict gopub_counters in "
      .. "gopub-http.conf, 10 KiB for each peer and release"):format(peers, problem)
  end
  for _, entry in ipairs(kept) do
    entry.is_new = nil
  end
  local named, others = append(kept, made), append(leaving, left)
  endpoint_series.ensure(doc, named, others)
  return save(doc.upstream, append(named, others))
end

--- Requests held by each host that has series, 0 where `held` (of inflight.read) does not know it.
function _M.with_zeros(upstream, held)
  local hosts = {}
  for _, entry in ipairs(_M.list(upstream)) do
    hosts[entry.host] = 0
  end
  for host, count in pairs(held or {}) do
    hosts[host] = count
  end
  return hosts
end

--- The series' entries by "release/host", release in 12 characters; keys() of their numbers names the counters.
function _M.by_peer(upstream)
  local found = {}
  for _, entry in ipairs(_M.list(upstream)) do
    found[entry.release .. "/" .. entry.host] = entry
  end
  return found
end

return _M
