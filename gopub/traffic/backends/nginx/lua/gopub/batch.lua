-- What this worker has counted and not yet told the others. A count in shared memory takes a lock that all workers
-- share, and a request makes ten of them: so they are added up here, and told together a moment later. Whoever reads
-- the counters waits for what was held back when he began. A worker that crashes takes its last moment with it.
--   batch/<slot>      in gopub_tables: odd while a worker holds something back, another number each time
--   batch/<slot>/pid  that worker

local process = require "gopub.process"

local counters = ngx.shared.gopub_counters
local store = ngx.shared.gopub_tables

local _M = {}

local EVERY = 0.025 -- seconds
local LONGEST = 2 -- seconds that a reader waits for a worker that does not come to it
local SLOTS = {} -- more than there are workers, those of an earlier configuration that still finish included
for slot = 0, 255 do
  SLOTS[slot] = "batch/" .. slot
end

local pending, touched, many = {}, {}, 0
local own

local function tell()
  local count = many
  many = 0
  for at = 1, count do
    local key = touched[at]
    local value = pending[key]
    pending[key] = nil
    -- Never with an initial value: the series of a peer that has left may be dropped while its last request ends, and a
    -- counter that nobody lists would stay for ever.
    counters:incr(key, value)
  end
  if own and count > 0 then
    store:incr(own, 1)
  end
end

local function hold()
  if own then
    store:incr(own, 1)
  end
  if not own or not ngx.timer.at(EVERY, tell) then -- a worker that ends sets no timer any more
    tell()
  end
end

--- Adds to a counter.
function _M.add(key, value)
  local before = pending[key]
  if before then
    pending[key] = before + value
    return
  end
  pending[key] = value
  many = many + 1
  touched[many] = key
  if many == 1 then
    hold()
  end
end

--- Begins a worker. Where there is no room for it, what it counts is told at once.
function _M.start()
  store:safe_add("batch", 0)
  local key = SLOTS[(store:incr("batch", 1) or 0) % 256]
  own = store:safe_set(key .. "/pid", ngx.worker.pid()) and store:safe_set(key, 0) and key or nil
end

local function is_there(key)
  local pid = store:get(key .. "/pid")
  return pid and process.is_alive(pid)
end

-- The numbers of the workers that hold something back, by their keys.
local function holding()
  local found = {}
  for slot = 0, 255 do
    local key = SLOTS[slot]
    local number = store:get(key)
    if number and number % 2 == 1 and is_there(key) then
      found[key] = number
    end
  end
  return found
end

local function still(held)
  for key, number in pairs(held) do
    if store:get(key) == number and is_there(key) then
      return true
    end
  end
  return false
end

--- Waits until every worker has told what it held back when this was called. Where one may sleep.
function _M.settle()
  tell()
  local held = holding()
  local most = LONGEST
  while most > 0 and still(held) do
    ngx.sleep(0.005)
    most = most - 0.005
  end
end

return _M
