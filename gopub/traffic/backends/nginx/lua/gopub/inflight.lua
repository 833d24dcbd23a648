-- Requests that a peer holds right now, exact also after a worker died or while an old one finishes after a reload:
-- each worker counts under its own pid, and the counts of dead pids are dropped when they are read.

local process = require "gopub.process"
local region = require "gopub.region"

local counts = ngx.shared.gopub_inflight
local numbers = region.numbers

local _M = {}

--- Forgets what an earlier process of the same pid left; once in each new worker.
function _M.start()
  local own = ngx.worker.pid() .. "/"
  for _, key in ipairs(counts:get_keys(0)) do
    if key:sub(1, #own) == own then
      counts:delete(key)
    end
  end
end

--- The key under which this worker counts a host at an address, and the place of its count in the shared memory: nil
-- where the count is in the dict itself. There stands how to find it: below zero, its place.
function _M.key(upstream, host, address)
  local key = ngx.worker.pid() .. "/" .. upstream .. "/" .. address .. "/" .. host
  local found = counts:get(key)
  if found then
    return key, found < 0 and -found or nil
  end
  local place = region.place()
  if place and not counts:safe_set(key, -place) then
    place = nil
  end
  return key, place
end

--- One more.
function _M.up(peer)
  local place = peer.place
  if place then
    numbers[place] = numbers[place] + 1
  else
    counts:incr(peer.inflight, 1, 0)
  end
end

--- One less.
function _M.down(peer)
  local place = peer.place
  if place then
    numbers[place] = numbers[place] - 1
  else
    counts:incr(peer.inflight, -1, 0)
  end
end

local function held(key)
  local found = counts:get(key) or 0
  return math.max(0, found < 0 and numbers[-found] or found)
end

-- The parts of a key; workers of an older version, which end what they began, count without an address.
local function parts(key)
  local pid, upstream, address, host = key:match("^(%d+)/([^/]+)/([^/]+:%d+)/(.+)$")
  if pid then
    return pid, upstream, host, address
  end
  return key:match("^(%d+)/([^/]+)/(.+)$")
end

local function add(sums, upstream, name, count)
  local of = sums[upstream] or {}
  of[name] = (of[name] or 0) + count
  sums[upstream] = of
end

--- Sums by host, for each upstream: {upstream = {host = count}}, and the same by address; what never held a request is
-- not in it.
function _M.read()
  local sums, by_address, alive = {}, {}, {}
  for _, key in ipairs(counts:get_keys(0)) do
    local pid, upstream, host, address = parts(key)
    if pid and alive[pid] == nil then
      alive[pid] = process.is_alive(tonumber(pid))
    end
    if pid and alive[pid] then
      local count = held(key)
      add(sums, upstream, host, count)
      if address then
        add(by_address, upstream, address, count)
      end
    elseif pid then -- what is left is region.lua's
      counts:delete(key)
    end
  end
  return sums, by_address
end

return _M
