-- Runs series.lua under plain luajit on dictionaries of its own: {"now": seconds, "doc": table} per line in, and out
-- {"fine", "why", "named", "left", "counters", "newest", "ends"}; at most `room` counters fit.
--   luajit series.lua DIRECTORY ROOM

package.path = arg[1] .. "/?.lua;" .. package.path

local cjson = require "cjson"

local function dict(room)
  local values, size = {}, 0
  local own = {}
  function own.get(_, key) return values[key] end
  function own.safe_set(_, key, value) values[key] = value return true end
  function own.safe_add(_, key, value)
    if values[key] ~= nil then return nil, "exists" end
    if size >= room then return nil, "no memory" end
    values[key], size = value, size + 1
    return true
  end
  function own.incr(_, key, by, from)
    if values[key] == nil and from == nil then return nil, "not found" end
    values[key] = (values[key] or from) + by
    return values[key]
  end
  function own.delete(_, key)
    if values[key] ~= nil then values[key], size = nil, size - 1 end
  end
  function own.size() return size end
  return own
end

local now = 0
local counters = dict(tonumber(arg[2]))
rawset(_G, "ngx", {
  shared = { gopub_tables = dict(math.huge), gopub_counters = counters },
  time = function() return now end,
  log = function() end,
})
local series = require "gopub.series"

for line in io.lines() do
  local input = cjson.decode(line)
  now = input.now
  local fine, why = series.ensure(input.doc)
  local named, left, ends = 0, {}, {} -- the list says first what left last
  for _, entry in ipairs(series.list(input.doc.upstream)) do
    named = named + (entry.named and 1 or 0)
    ends[entry.release:sub(1, 1) .. "/" .. entry.host] = entry.ends
    if not entry.named then
      left[#left + 1] = entry.release:sub(1, 1) .. "/" .. entry.host
    end
  end
  local answer = { fine = fine or false, why = why or "", named = named, left = #left, counters = counters.size() }
  answer.newest, answer.ends = left[1] or "", ends
  print(cjson.encode(answer))
end
