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
_M.CLASSES = { "2xx", "3xx", "4xx", "5xx", "connect", "timeout" }

local KEPT = 3600 -- seconds that the series of a peer outlive its place in the table
local MOST = 2000 -- series of one upstream

--- The names of one series' counters, by its number.
function _M.keys(number)
  local keys = { class = {}, bucket = {}, sum = number .. "s" }
  for _, class in ipairs(_M.CLASSES) do
    keys.class[class] = number .. class
  end
  for at = 1, #_M.BOUNDS + 1 do
    keys.bucket[at] = number .. "b" .. at
  end
  return keys
end

local function each_counter(number, act)
  local keys = _M.keys(number)
  act(keys.sum)
  for _, key in pairs(keys.class) do
    act(key)
  end
  for _, key in ipairs(keys.bucket) do
    act(key)
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

-- While a canary is in the table its rollout lives, and no series may vanish under the judge's eyes.
local function is_stale(entry, doc, now)
  return not entry.named and doc.canary == cjson.null and now - entry.seen > KEPT
end

local function refresh(entries, named, doc, now)
  local kept = {}
  for _, entry in ipairs(entries) do
    local key = entry.release .. "/" .. entry.host
    entry.seen = entry.named and now or entry.seen
    entry.named = named[key] ~= nil
    named[key] = nil
    if is_stale(entry, doc, now) then
      forget(entry)
    else
      kept[#kept + 1] = entry
    end
  end
  return kept
end

--- Makes the series of every peer of the document and drops those long unused; nil and the reason without memory.
-- Only under the lock of the upstream.
function _M.ensure(doc)
  local now = ngx.time()
  local named = named_by(doc)
  local entries = refresh(_M.list(doc.upstream), named, doc, now)
  local problem
  for _, wanted in pairs(named) do
    if #entries >= MOST then
      return nil, "more than " .. MOST .. " peers and releases"
    end
    wanted.named, wanted.seen = true, now
    local entry, why = create(wanted)
    entries[#entries + 1] = entry
    problem = problem or why
  end
  local fine, why = store:safe_set("series/" .. doc.upstream, cjson.encode(entries))
  return (fine and not problem) or nil, problem or why
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

--- The counters' names by "release/host", release in 12 characters.
function _M.by_peer(upstream)
  local found = {}
  for _, entry in ipairs(_M.list(upstream)) do
    found[entry.release .. "/" .. entry.host] = _M.keys(entry.number)
  end
  return found
end

return _M
