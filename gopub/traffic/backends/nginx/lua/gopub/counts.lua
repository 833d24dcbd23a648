-- What the judge asks the edge itself for: the counters of some releases of one upstream. A tenth of what the page for
-- Prometheus says, for it is asked at every look: each bound stands there once, and nothing that nobody judges by.

local batch = require "gopub.batch"
local cjson = require "cjson"
local endpoint_series = require "gopub.endpoint_series"
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

-- What was counted of each declared endpoint, as [ok, error] or [ok, error, fine, slow]; null where nothing was.
local function endpoints_of(number, endpoints)
  local said = {}
  for at, endpoint in ipairs(endpoints) do
    local keys = endpoint_series.keys(number, endpoint)
    local counted = keys.bound and { keys.ok, keys.error, keys.fine, keys.slow } or { keys.ok, keys.error }
    said[at] = counters:get(keys.ok) and list(counted) or "null"
  end
  return #said > 0 and ',"endpoints":[' .. table.concat(said, ",") .. "]" or ""
end

local function say(entry, endpoints)
  local keys, classes = series.keys(entry.number), {}
  for at, name in ipairs(series.CLASSES) do
    classes[at] = keys.class[name]
  end
  local warming = entry.ends and ',"warming":' .. list(keys.warming) or ""
  return ('{"release":%s,"host":%s,"classes":%s,"latency":%s%s%s}'):format(
    cjson.encode(entry.release), cjson.encode(entry.host), list(classes), list(keys.latency), warming,
    endpoints_of(entry.number, endpoints))
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
  batch.settle()
  local doc, names, said = cjson.decode(text), wanted(releases), {}
  local endpoints, matches = endpoint_series.list(upstream), {}
  for at, endpoint in ipairs(endpoints) do
    matches[at] = cjson.encode(endpoint.match)
  end
  for _, entry in ipairs(series.list(upstream)) do
    if not names or names[entry.release] then
      said[#said + 1] = say(entry, endpoints)
    end
  end
  local bounds = {}
  for at, bound in ipairs(series.BOUNDS) do
    bounds[at] = ("%g"):format(bound)
  end
  return ('"app":%s,"env":%s,"classes":["%s"],"bounds":[%s],"endpoints":[%s],"series":[%s]'):format(
    cjson.encode(doc.app), cjson.encode(doc.env), table.concat(series.CLASSES, '","'), table.concat(bounds, ","),
    table.concat(matches, ","), table.concat(said, ","))
end

return _M
