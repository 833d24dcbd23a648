-- Requests that a peer holds right now, exact also after a worker died or while an old one finishes after a reload:
-- each worker counts under its own pid, and the counts of dead pids are dropped when they are read.

local process = require "gopub.process"

local counts = ngx.shared.gopub_inflight

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

--- The key under which this worker counts a host.
function _M.key(upstream, host)
  return ngx.worker.pid() .. "/" .. upstream .. "/" .. host
end

--- One more.
function _M.up(key)
  counts:incr(key, 1, 0)
end

--- One less.
function _M.down(key)
  counts:incr(key, -1, 0)
end

--- Sums by host, for each upstream: {upstream = {host = count}}; a host that never held a request is not in it.
function _M.read()
  local sums, alive = {}, {}
  for _, key in ipairs(counts:get_keys(0)) do
    local pid, upstream, host = key:match("^(%d+)/([^/]+)/(.+)$")
    if alive[pid] == nil then
      alive[pid] = process.is_alive(tonumber(pid))
    end
    if alive[pid] then
      local hosts = sums[upstream] or {}
      hosts[host] = (hosts[host] or 0) + math.max(0, counts:get(key) or 0)
      sums[upstream] = hosts
    else
      counts:delete(key)
    end
  end
  return sums
end

return _M
