-- Whether a decoded document is a route table that can be obeyed: what gopub/traffic/route_table.json says beyond its
-- shape (GP502), see shapes.lua.

local address = require "gopub.address"
local endpoints = require "gopub.endpoints"
local shapes = require "gopub.shapes"

local _M = {}

local NULL = require("cjson").null
local CHECKS = { endpoint = address.endpoint, network = address.network, pattern = endpoints.parse }

local meanings = {}

local function meaning(name, value, path, state)
  local kind = shapes.TYPES[name]
  local sense = meanings[kind.is]
  if sense then
    sense(kind, value, path, state)
  end
end

local function within(kind, number)
  return number >= (kind.from or 0) and number <= (kind.to or math.huge)
end

local function has(list, value)
  for _, one in ipairs(list) do
    if one == value then
      return true
    end
  end
  return false
end

local function without_start(kind, text)
  for _, start in ipairs(kind.after) do
    if text:sub(1, #start) == start then
      return text:sub(#start + 1)
    end
  end
  return nil
end

local function is_fine(kind, text)
  if kind.also and has(kind.also, text) then
    return true
  elseif kind.never and has(kind.never, text) then
    return false
  elseif kind.after then
    text = without_start(kind, text)
  end
  return text ~= nil and (CHECKS[kind.check] or kind.fits)(text)
end

function meanings.string(kind, value, path)
  if not is_fine(kind, value) then
    shapes.fail("GP502", path, kind.says, value)
  end
end

function meanings.number(kind, value, path)
  if kind.says and not within(kind, value) then
    shapes.fail("GP502", path, kind.says, value)
  end
end

meanings.whole = meanings.number

local function rising(kind, value, path)
  local before = 0
  for at, span in ipairs(value) do
    if span[1] < before or span[2] <= span[1] or span[2] > kind.rising then
      shapes.fail("GP502", shapes.item(path, at), kind.falls)
    end
    before = span[2]
  end
end

function meanings.list(kind, value, path, state)
  if kind.says and not within(kind, #value) then
    shapes.fail("GP502", path, kind.says, #value)
  end
  for at, one in ipairs(value) do
    meaning(kind.of, one, shapes.item(path, at), state)
  end
  if kind.rising then
    rising(kind, value, path)
  end
end

function meanings.either(kind, value, path, state)
  meaning(shapes.side_of(kind, value), value, path, state)
end

function meanings.kind(kind, value, path, state)
  local key, inner = next(value)
  meaning(kind.kinds[key], inner, shapes.below(path, key), state)
end

local function is_some(value)
  return value ~= nil and value ~= 0 and value ~= "" and not (type(value) == "table" and next(value) == nil)
end

local function lacks(value)
  return value == NULL or value == ""
end

local function how_many(check, state)
  local sum = 0
  for _, name in ipairs(check.seen) do
    sum = sum + (state.seen[name] or 0)
  end
  return sum
end

local function refused(check, value, state)
  if check.without and not lacks(value[check.without]) then
    return false
  elseif check.some then
    return is_some(value[check.some])
  elseif check.there then
    return value[check.there] ~= NULL
  end
  return how_many(check, state) > check.most
end

local function once(check, value, state)
  local word = ("%s %s"):format(check.as or check.once, value[check.once])
  if state.once[word] then
    shapes.fail("GP502", check.as or check.once, '"{}" stands in the table twice', value[check.once])
  end
  state.once[word] = true
end

function meanings.object(kind, value, path, state)
  for _, check in ipairs(kind.order) do
    local key = type(check) == "string" and check
    if key then
      if value[key] ~= nil and value[key] ~= NULL then
        meaning(kind.of_key[key], value[key], shapes.below(path, key), state)
      end
    elseif check.once then
      once(check, value, state)
    elseif refused(check, value, state) then
      shapes.fail("GP502", "", check.says, check.seen and how_many(check, state))
    end
  end
end

local function check(doc)
  local state = { seen = shapes.shape(shapes.ROOT, doc), once = {} }
  meaning(shapes.ROOT, doc, "", state)
end

local function members_of(value)
  local count = 0
  for key, inner in pairs(value) do
    count = count + (type(key) == "string" and 1 or 0) + (type(inner) == "table" and members_of(inner) or 0)
  end
  return count
end

--- What lua-cjson takes for JSON and others do not; nil where there is nothing. The text stands in the status word for
-- word, beside those of all other upstreams: who reads that would be blind for them, too.
function _M.oddity(text, doc)
  if text:find("\0", 1, true) then -- it reads no further
    return "it has a NUL"
  end
  local bare = text:gsub("\\.", ""):gsub('"[^"]*"', "")
  local _, written = bare:gsub(":", "")
  if type(doc) == "table" and written ~= members_of(doc) then -- it takes the last one
    return "a key stands twice in an object"
  end
  return nil
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
