-- What the judge asks the edge itself for: the counters of some releases of one upstream. A tenth of what the page for
-- Prometheus says, for it is asked at every look: each bound stands there once, and nothing that nobody judges by.

local cjson = require "cjson"
local series = require "gopub.series"
local tables = require "gopub.tables"

local counters = ngx.shared.gopub_counters

local _M = {}

local function list(keys)
  local values = {}
  for at, key in ipairs(keys) do
    values[at] = ("%.0f"):format(counters:get(key) or 0)
  end
  return "[" .. table.concat(values, ",") .. "]"
end

local function say(entry)
  local keys, classes = series.keys(entry.number), {}
  for at, name in ipairs(series.CLASSES) do
    classes[at] = keys.class[name]
  end
  local warming = entry.ends and ',"warming":' .. list(keys.warming) or ""
  return ('{"release":%s,"host":%s,"classes":%s,"latency":%s%s}'):format(
    cjson.encode(entry.release), cjson.encode(entry.host), list(classes), list(keys.latency), warming)
end

-- What is asked for as "one,other"; nil where everything is.
local function wanted(text)
  if not text then
    return nil
  end
  local names = {}
  for name in text:gmatch("[^,]+") do
    names[name] = true
  end
  return names
end

--- The members of the answer: whose they are ("app" is null without a table), what the numbers mean, and the series.
function _M.of(upstream, releases)
  local text = tables.text(upstream)
  if not text then
    return '"app":null,"env":null,"classes":[],"bounds":[],"series":[]'
  end
  local doc, names, said = cjson.decode(text), wanted(releases), {}
  for _, entry in ipairs(series.list(upstream)) do
    if not names or names[entry.release] then
      said[#said + 1] = say(entry)
    end
  end
  local bounds = {}
  for at, bound in ipairs(series.BOUNDS) do
    bounds[at] = ("%g"):format(bound)
  end
  return ('"app":%s,"env":%s,"classes":["%s"],"bounds":[%s],"series":[%s]'):format(
    cjson.encode(doc.app), cjson.encode(doc.env), table.concat(series.CLASSES, '","'), table.concat(bounds, ","),
    table.concat(said, ","))
end

return _M
