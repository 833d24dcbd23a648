-- The counters of each (release, host) of an upstream: which there are, and what they are called in the shared dict.
-- They begin at 0 when a table first names the peer, so that a rate exists from the first request on.

local cjson = require "cjson"

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

--- The names of one series' counters, by its number: {class = {name = key}, latency, header, total = histograms}.
function _M.keys(number)
  local keys = {
    class = {},
    latency = histogram(number, "b", _M.BOUNDS),
    header = histogram(number, "h", _M.SHOWN),
    total = histogram(number, "t", _M.SHOWN),
  }
  for _, class in ipairs(_M.CLASSES) do
    keys.class[class] = number .. class
  end
  return keys
end

local function each_counter(number, act)
  local keys = _M.keys(number)
  for _, key in pairs(keys.class) do
    act(key)
  end
  for _, name in ipairs({ "latency", "header", "total" }) do
    act(keys[name].sum)
    for _, key in ipairs(keys[name]) do
      act(key)
    end
  end
end

--- All series of an upstream: a list of {number, release, host, named, seen}.
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
        named[release .. "/" .. peer.host] = { release = release, host = peer.host }
      end
    end
  end
  return named
end

local function create(entry)
  local number, problem = counters:incr("series", 1, 0)
  if not number then
    return nil, problem
  end
  each_counter(number, function(key)
    local fine, why = counters:safe_add(key, 0)
    if not fine then
      problem = why
    end
  end)
  entry.number = number
  return entry, problem
end

local function forget(entry)
  each_counter(entry.number, function(key)
    counters:delete(key)
  end)
end

-- The entries in four lists: those that the document names; those that only the table in force does; those that were
-- named within the hour, newest first; and what is older. What is wanted besides stays in `named`.
-- While a canary is in the table its rollout lives, and no series may vanish under the judge's eyes.
local function sort_out(entries, named, doc, now)
  local kept, leaving, left, gone = {}, {}, {}, {}
  for _, old in ipairs(entries) do
    local key = old.release .. "/" .. old.host
    local entry = {
      number = old.number, release = old.release, host = old.host,
      named = named[key] ~= nil, seen = old.named and now or old.seen,
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

-- The series of all that is wanted; nil and the reason, with none of them made, when there is no room.
local function create_all(wanted, now)
  local made = {}
  for _, peer in pairs(wanted) do
    local entry, problem = create({ release = peer.release, host = peer.host, named = true, seen = now })
    made[#made + 1] = entry
    if problem then
      forget_all(made)
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
  local made, problem = create_all(wanted, now)
  if not made then
    cut(left, 0, gone)
    forget_all(gone)
    made, problem = create_all(wanted, now)
  end
  if not made then
    save(doc.upstream, without(entries, gone))
    return nil, ("no room for the counters of %d peers (%s): enlarge lua_shared_dict gopub_counters in "
      .. "gopub-http.conf, 8 KiB for each peer and release"):format(peers, problem)
  end
  return save(doc.upstream, append(append(append(kept, leaving), left), made))
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

--- The series' numbers by "release/host", release in 12 characters; keys() gives the names of the counters.
function _M.by_peer(upstream)
  local found = {}
  for _, entry in ipairs(_M.list(upstream)) do
    found[entry.release .. "/" .. entry.host] = entry.number
  end
  return found
end

return _M
