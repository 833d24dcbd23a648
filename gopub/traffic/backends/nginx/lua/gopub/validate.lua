-- Whether a decoded document is a route table that can be obeyed.
-- The same checks, in the same order and words, as gopub/traffic/wire.py and check.py; see tests/cases/traffic.

local address = require "gopub.address"
local endpoints = require "gopub.endpoints"
local shapes = require "gopub.shapes"

local _M = {}

local MOST = 9007199254740992
local RESERVED = {
  ["bad-tags"] = true, canary = true, default = true, lapsed = true, none = true, ["no-subject"] = true,
  ["only-canary"] = true, weight = true,
}

local function fail(code, text, ...)
  error({ code = code, reason = text:format(...) }, 0)
end

-- Shape (GP501) ------------------------------------------------------------------------------------------------

local is_list = shapes.is_list

local readers = {}

-- The fields of an object, in the order in which they are looked at; a third value marks one that may be missing.
local function fields(value, path, wanted)
  if type(value) ~= "table" or (next(value) ~= nil and is_list(value)) then
    fail("GP501", "%s is not an object", path)
  end
  local prefix = path == "the table" and "" or path .. "."
  local known = {}
  for _, field in ipairs(wanted) do
    known[field[1]] = true
    if value[field[1]] == nil and not field[3] then
      fail("GP501", "%s%s is missing", prefix, field[1])
    end
  end
  local unknown = {}
  for name in pairs(value) do
    if not known[name] then
      unknown[#unknown + 1] = tostring(name)
    end
  end
  table.sort(unknown)
  if unknown[1] then
    fail("GP501", "%s%s is not known", prefix, unknown[1])
  end
  for _, field in ipairs(wanted) do
    if value[field[1]] ~= nil then
      readers[field[2]](value[field[1]], prefix .. field[1])
    end
  end
end

local function list_of(kind)
  return function(value, path)
    if type(value) ~= "table" or not is_list(value) then
      fail("GP501", "%s is not a list", path)
    end
    for at, item in ipairs(value) do
      readers[kind](item, ("%s[%d]"):format(path, at - 1))
    end
  end
end

local function plain(lua_type, name)
  return function(value, path)
    if type(value) ~= lua_type then
      fail("GP501", "%s is not %s", path, name)
    end
  end
end

local NULL = require("cjson").null

local function maybe(kind)
  return function(value, path)
    if value ~= NULL then
      readers[kind](value, path)
    end
  end
end

readers.string = plain("string", "a string")
readers.number = plain("number", "a number")
readers.boolean = plain("boolean", "true or false")
readers.strings = list_of("string")
readers.peers = list_of("peer")
readers.rules = list_of("rule")
readers.endpoints = list_of("endpoint")
readers.maybe_track = maybe("track")
readers.maybe_number = maybe("number")

function readers.schema(value)
  if value ~= "gopub/route-table/v1" then
    fail("GP501", 'schema is not "gopub/route-table/v1"')
  end
end

function readers.integer(value, path)
  if type(value) ~= "number" or value % 1 ~= 0 then
    fail("GP501", "%s is not a whole number", path)
  end
end

function readers.lapse(value, path)
  if value ~= "stable" and value ~= "keep" then
    fail("GP501", "%s is not stable or keep", path)
  end
end

function readers.latency(value, path)
  if value ~= "auto" and value ~= "header" and value ~= "total" then
    fail("GP501", "%s is not auto, header or total", path)
  end
end

function readers.track(value, path)
  fields(value, path, { { "release", "string" }, { "peers", "peers" }, { "tag", "string", true } })
end

function readers.number(value, path)
  if type(value) ~= "number" then
    fail("GP501", "%s is not a number", path)
  end
end

function readers.peer(value, path)
  fields(value, path, { { "host", "string" }, { "address", "string" }, { "since", "number", true } })
end

function readers.condition(value, path)
  shapes.shape(value, path)
end

function readers.side(value, path)
  if value ~= "canary" and value ~= "stable" then
    fail("GP501", "%s is not stable or canary", path)
  end
end

local BY_HEADER = { { "id", "string" }, { "header", "header" } }
local BY_CONDITION = {
  { "id", "string" }, { "when", "condition" }, { "to", "side", true }, { "until", "number", true },
}

function readers.rule(value, path)
  fields(value, path, type(value) == "table" and value.when ~= nil and BY_CONDITION or BY_HEADER)
end

function readers.endpoint(value, path)
  fields(value, path, { { "match", "string" }, { "slow", "number", true } })
end

function readers.header(value, path)
  fields(value, path, { { "name", "string" }, { "value", "string" } })
end

local TABLE = {
  { "schema", "schema" }, { "app", "string" }, { "env", "string" }, { "upstream", "string" },
  { "revision", "integer" }, { "epoch", "integer" }, { "token", "string" }, { "n", "integer" },
  { "rollout", "string" }, { "salt", "string" }, { "sticky", "string" }, { "weight", "integer" },
  { "stable", "maybe_track" }, { "canary", "maybe_track" }, { "canary_until", "maybe_number" },
  { "lapse", "lapse" }, { "rules", "rules" }, { "trust", "strings" }, { "fallback", "boolean" },
  { "latency", "latency", true }, { "warmup", "number", true }, { "weight_from", "integer", true },
  { "endpoints", "endpoints", true },
}

-- Meaning (GP502) ----------------------------------------------------------------------------------------------

local function is_name(text)
  return #text <= 63 and text:find("^[a-z0-9][a-z0-9._-]*$") ~= nil
end

local function is_host(text)
  return #text <= 253 and text:find("^[A-Za-z0-9][A-Za-z0-9._-]*$") ~= nil
end

local function is_printable(text)
  return text:find("^[ -~]*$") ~= nil
end

local function names(doc)
  for _, key in ipairs({ "app", "env", "upstream" }) do
    if not is_name(doc[key]) then
      fail("GP502", '%s "%s" is not a name', key, doc[key])
    end
  end
end

local function numbers(doc)
  local limits = { { "revision", 1, MOST }, { "epoch", 0, MOST }, { "n", 0, MOST }, { "weight", 0, 10000 } }
  for _, limit in ipairs(limits) do
    local key, least, most = limit[1], limit[2], limit[3]
    if doc[key] < least or doc[key] > most then
      fail("GP502", "%s %.0f is not a whole number from %.0f to %.0f", key, doc[key], least, most)
    end
  end
end

local function warmup(doc)
  if doc.warmup and not (doc.warmup >= 0 and doc.warmup <= 3600) then
    fail("GP502", "warmup is not a number of seconds from 0 to 3600")
  end
  if doc.weight_from and (doc.weight_from < 0 or doc.weight_from > 10000) then
    fail("GP502", "weight_from %.0f is not a whole number from 0 to 10000", doc.weight_from)
  end
end

local function texts(doc)
  for _, key in ipairs({ "token", "rollout", "salt" }) do
    if #doc[key] > 128 or not is_printable(doc[key]) then
      fail("GP502", "%s is not printable ASCII of at most 128 characters", key)
    end
  end
  local kind, name = doc.sticky:match("^(%a+):(.*)$")
  if doc.sticky ~= "address" and not ((kind == "header" or kind == "cookie") and shapes.is_token(name)) then
    fail("GP502", 'sticky "%s" is none of address, header:NAME, cookie:NAME', doc.sticky)
  end
end

local function once(seen, kind, value)
  if seen[kind .. " " .. value] then
    fail("GP502", '%s "%s" stands in the table twice', kind, value)
  end
  seen[kind .. " " .. value] = true
end

local function track(key, value, seen)
  local release = value.release
  if #release < 12 or #release > 64 or not release:find("^[0-9a-f]+$") then
    fail("GP502", '%s.release "%s" is not 12 to 64 hex digits', key, release)
  end
  if value.tag and not shapes.is_tag(value.tag) then
    fail("GP502", '%s.tag "%s" is not a tag', key, value.tag)
  end
  for at, peer in ipairs(value.peers) do
    if not is_host(peer.host) then
      fail("GP502", '%s.peers[%d].host "%s" is not a host name', key, at - 1, peer.host)
    end
    if not address.endpoint(peer.address) then
      fail("GP502", '%s.peers[%d].address "%s" is not ip:port', key, at - 1, peer.address)
    end
    once(seen, "host", peer.host)
    once(seen, "address", peer.address)
  end
end

local function canary(doc)
  if doc.canary ~= NULL then
    if doc.weight > 0 and doc.salt == "" then
      fail("GP502", "weight needs a salt")
    end
    return
  end
  if doc.weight > 0 then
    fail("GP502", "weight needs a canary track")
  elseif doc.rules[1] then
    fail("GP502", "rules needs a canary track")
  elseif doc.canary_until ~= NULL then
    fail("GP502", "canary_until needs a canary track")
  end
end

local function rule(at, value, seen, seen_conditions)
  if not is_name(value.id) or RESERVED[value.id] then
    fail("GP502", 'rules[%d].id "%s" is not a free name', at - 1, value.id)
  end
  once(seen, "rule", value.id)
  local when = value.when or { header = value.header }
  shapes.check(when, ("rules[%d]%s"):format(at - 1, value.when and ".when" or ""), seen_conditions)
end

local function rules(doc, seen)
  local inside = { count = 0 }
  for at, value in ipairs(doc.rules) do
    rule(at, value, seen, inside)
  end
  if inside.count > shapes.MOST then
    fail("GP502", "rules have %d conditions, and %d at most", inside.count, shapes.MOST)
  elseif inside.share and doc.salt == "" then
    fail("GP502", "share needs a salt")
  end
end

local function endpoint(at, value, seen)
  if not endpoints.parse(value.match) then
    fail("GP502", 'endpoints[%d].match "%s" is no endpoint', at - 1, value.match)
  end
  once(seen, "endpoint", value.match)
  if value.slow and not (value.slow >= 0.001 and value.slow <= 600) then
    fail("GP502", "endpoints[%d].slow is not a number of seconds from 0.001 to 600", at - 1)
  end
end

local function declared(doc, seen)
  local list = doc.endpoints or {}
  if #list > endpoints.MOST then
    fail("GP502", "endpoints are %d, and %d at most", #list, endpoints.MOST)
  end
  for at, value in ipairs(list) do
    endpoint(at, value, seen)
  end
end

local function check(doc)
  readers.object(doc, "the table")
  names(doc)
  numbers(doc)
  warmup(doc)
  texts(doc)
  local seen = {}
  for _, key in ipairs({ "stable", "canary" }) do
    if doc[key] ~= NULL then
      track(key, doc[key], seen)
    end
  end
  canary(doc)
  rules(doc, seen)
  for at, text in ipairs(doc.trust) do
    if not address.network(text) then
      fail("GP502", 'trust[%d] "%s" is not a network', at - 1, text)
    end
  end
  declared(doc, seen)
end

function readers.object(value, path)
  fields(value, path, TABLE)
end

--- nil when the document is fine, else {code, reason}.
function _M.problem(doc)
  local fine, problem = pcall(check, doc)
  if fine then
    return nil
  end
  return type(problem) == "table" and problem or { code = "GP501", reason = tostring(problem) }
end

return _M
