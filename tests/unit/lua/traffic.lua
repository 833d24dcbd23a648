-- Runs the edge's pure modules under plain luajit: one JSON document per line in, one per line out.
--   luajit traffic.lua DIRECTORY hash|decide|decide_all|context|problem|put|endpoint SCHEMA

-- On an edge the schema of tables lies beside the Lua; here it is SCHEMA, without its .json.
package.path = ("%s/?.lua;%s.lua;%s"):format(arg[1], arg[3], package.path)

local cjson = require("cjson").new()
cjson.decode_invalid_numbers(false) -- as on the edge
local context = require "gopub.context"
local decide = require "gopub.decide"
local murmur3 = require "gopub.murmur3"
local address = require "gopub.address"
local endpoints = require "gopub.endpoints"
local validate = require "gopub.validate"

local work = {}

function work.hash(text)
  return murmur3.hash(text)
end

function work.decide(input)
  local route, request = decide.compile(input.table), input.request
  request.trusted = route.trust ~= nil and address.is_in(route.trust, request.address)
  local track, rule = decide.decide(route, request)
  return { track = track or "none", rule = rule }
end

function work.decide_all(input)
  local route, said = decide.compile(input.table), {}
  for at, request in ipairs(input.requests) do
    request.trusted = route.trust ~= nil and address.is_in(route.trust, request.address)
    local track, rule = decide.decide(route, request)
    said[at] = { track or "none", rule }
  end
  return said
end

-- What goes along with a request; null where a header stays as it came.
function work.context(input)
  local route = decide.compile(input.table)
  route.at_revision = "@7"
  local values = context.values(route, input.request, input.track, input.rule)
  return { tags = values.tags or cjson.null, rule = values.rule, baggage = values.baggage or cjson.null }
end

function work.problem(doc)
  return validate.problem(doc) or cjson.null
end

function work.endpoint(input)
  local list = {}
  for at, text in ipairs(input.patterns) do
    list[at] = { match = text }
  end
  return endpoints.find(endpoints.compile(list), input.method, input.path) or cjson.null
end

--- As the edge takes what was put: text that is no JSON is no table.
function work.put(line)
  local fine, doc = pcall(cjson.decode, line)
  if not fine then
    return { code = "GP501", reason = "the table is not JSON" }
  end
  return work.problem(doc)
end

for line in io.lines() do
  print(cjson.encode(work[arg[2]](arg[2] == "put" and line or cjson.decode(line))))
end
