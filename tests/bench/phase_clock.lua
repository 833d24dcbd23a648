-- For bench_router.py: how long each function of the router takes. Wraps them at the start of an edge and tells the
-- median of each when it is asked. The clock itself takes some 40 ns.

local ffi = require "ffi"
ffi.cdef "typedef struct { long s, ns; } gopub_bench_time; int clock_gettime(int clock, gopub_bench_time *at);"

local at = ffi.new("gopub_bench_time")
local bins = {}
local STEP, MOST = 20, 5000

local function now()
  ffi.C.clock_gettime(1, at)
  return tonumber(at.s) * 1e9 + tonumber(at.ns)
end

local router = require "gopub.router"
for _, name in ipairs({ "decide", "balance", "name_peer", "note_end", "log" }) do
  local inner, own = router[name], ffi.new("double[?]", MOST + 1)
  bins[name] = own
  router[name] = function(argument)
    local began = now()
    inner(argument)
    local bin = math.min(MOST, math.floor((now() - began) / STEP))
    own[bin] = own[bin] + 1
  end
end

local function median(own)
  local sum, half = 0, 0
  for bin = 0, MOST do
    sum = sum + own[bin]
  end
  for bin = 0, MOST do
    half = half + own[bin]
    if half * 2 >= sum then
      return bin * STEP, sum
    end
  end
end

function router.tell_phases()
  local lines = {}
  for _, name in ipairs({ "decide", "balance", "name_peer", "note_end", "log" }) do
    local nanoseconds, calls = median(bins[name])
    lines[#lines + 1] = ("%-10s %5d ns   %d calls\n"):format(name, nanoseconds, calls)
  end
  return table.concat(lines)
end
