-- Whether a decoded value is a condition of a rule: its shape, then what it says. The same checks, in the same order
-- and words, as gopub/traffic/shapes.py; see tests/cases/traffic.

local address = require "gopub.address"

local _M = {}

local byte, find = string.byte, string.find

_M.MOST = 256 -- conditions in all rules of a table together
local DEEPEST = 8
local LATEST = 9007199254740992

local function fail(code, text, ...)
  error({ code = code, reason = text:format(...) }, 0)
end

-- Shape (GP501) ------------------------------------------------------------------------------------------------

local shapes = {}

--- Whether a decoded table is a list; an empty one is an object, too.
function _M.is_list(value)
  local count = 0
  for _ in pairs(value) do
    count = count + 1
  end
  return count == #value
end

local function list(value, path)
  if type(value) ~= "table" or not _M.is_list(value) then
    fail("GP501", "%s is not a list", path)
  end
  return value
end

local function text(value, path)
  if type(value) ~= "string" then
    fail("GP501", "%s is not a string", path)
  end
end

local function whole(value, path)
  if type(value) ~= "number" or value % 1 ~= 0 then
    fail("GP501", "%s is not a whole number", path)
  end
end

local function strings(value, path)
  for at, one in ipairs(list(value, path)) do
    text(one, ("%s[%d]"):format(path, at - 1))
  end
end

local function named(value, path)
  if type(value) ~= "table" or (next(value) ~= nil and _M.is_list(value)) then
    fail("GP501", "%s is not an object", path)
  end
  local unknown = {}
  for _, key in ipairs({ "name", "value" }) do
    if value[key] == nil then
      fail("GP501", "%s.%s is missing", path, key)
    end
  end
  for key in pairs(value) do
    if key ~= "name" and key ~= "value" then
      unknown[#unknown + 1] = tostring(key)
    end
  end
  table.sort(unknown)
  if unknown[1] then
    fail("GP501", "%s.%s is not known", path, unknown[1])
  end
  text(value.name, path .. ".name")
  text(value.value, path .. ".value")
end

local function many(value, path, depth)
  for at, one in ipairs(list(value, path)) do
    _M.shape(one, ("%s[%d]"):format(path, at - 1), depth + 1)
  end
end

shapes.header, shapes.cookie, shapes.query = named, named, named
shapes.path, shapes.tag, shapes.share = text, text, whole
shapes.method, shapes.client = strings, strings
shapes.all, shapes.any = many, many

shapes["not"] = function(value, path, depth)
  _M.shape(value, path, depth + 1)
end

function shapes.within(value, path)
  for at, span in ipairs(list(value, path)) do
    local place = ("%s[%d]"):format(path, at - 1)
    if #list(span, place) ~= 2 then
      fail("GP501", "%s is not from and until", place)
    end
    whole(span[1], place .. "[0]")
    whole(span[2], place .. "[1]")
  end
end

--- Raises a problem where a decoded value is no condition.
function _M.shape(value, path, depth)
  depth = depth or 1
  if depth > DEEPEST then
    fail("GP501", "%s is deeper than %d conditions", path, DEEPEST)
  end
  if type(value) ~= "table" or (next(value) ~= nil and _M.is_list(value)) then
    fail("GP501", "%s is not an object", path)
  end
  local kind, inner = next(value)
  if kind == nil or next(value, kind) ~= nil then
    fail("GP501", "%s is not one condition", path)
  end
  local place = path .. "." .. tostring(kind)
  if not shapes[kind] then
    fail("GP501", "%s is not known", place)
  end
  shapes[kind](inner, place, depth)
end

-- Meaning (GP502) ----------------------------------------------------------------------------------------------

local meanings = {}

local function is_printable(value, least, most)
  return #value >= least and #value <= most and find(value, "^[ -~]*$") ~= nil
end

--- Whether a text can be the name of a header or a cookie.
function _M.is_token(value)
  return #value <= 64 and find(value, "^[A-Za-z0-9!#$%%&'*+.^_`|~-]+$") ~= nil
end

--- Whether a text is a tag.
function _M.is_tag(value)
  return #value <= 63 and find(value, "^[A-Za-z0-9][A-Za-z0-9._-]*$") ~= nil
end

local function is_method(value)
  return #value <= 32 and find(value, "^[A-Z][A-Z-]*$") ~= nil
end

local function pair_of(kind, fits)
  return function(value, path)
    if not fits(value.name) then
      fail("GP502", '%s.name "%s" is not a %s name', path, value.name, kind)
    end
    if not is_printable(value.value, 1, 256) then
      fail("GP502", "%s.value is not printable ASCII of 1 to 256 characters", path)
    end
  end
end

local function each(kind, fits)
  return function(value, path)
    if not value[1] then
      fail("GP502", "%s is empty", path)
    end
    for at, one in ipairs(value) do
      if not fits(one) then
        fail("GP502", '%s[%d] "%s" is not a %s', path, at - 1, one, kind)
      end
    end
  end
end

meanings.header = pair_of("header", _M.is_token)
meanings.cookie = pair_of("cookie", _M.is_token)
meanings.query = pair_of("parameter", function(name)
  return is_printable(name, 1, 64)
end)
meanings.method = each("method", is_method)
meanings.client = each("network", address.network)

function meanings.path(value, path)
  if byte(value) ~= 47 or not is_printable(value, 1, 256) then
    fail("GP502", '%s "%s" is not a path', path, value)
  end
end

function meanings.tag(value, path)
  if not _M.is_tag(value) then
    fail("GP502", '%s "%s" is not a tag', path, value)
  end
end

function meanings.within(value, path)
  if not value[1] then
    fail("GP502", "%s is empty", path)
  end
  local before = 0
  for at, span in ipairs(value) do
    if span[1] < before or span[2] <= span[1] or span[2] > LATEST then
      fail("GP502", "%s[%d] does not follow what stands before it", path, at - 1)
    end
    before = span[2]
  end
end

function meanings.share(value, path)
  if value < 0 or value > 10000 then
    fail("GP502", "%s %.0f is not a whole number from 0 to 10000", path, value)
  end
end

local function check_many(value, path, seen)
  if not value[1] then
    fail("GP502", "%s is empty", path)
  end
  for at, one in ipairs(value) do
    _M.check(one, ("%s[%d]"):format(path, at - 1), seen)
  end
end

meanings.all, meanings.any = check_many, check_many

meanings["not"] = function(value, path, seen)
  _M.check(value, path, seen)
end

--- Raises a problem where a condition of the right shape says what cannot be meant; counts what it sees.
function _M.check(value, path, seen)
  local kind, inner = next(value)
  seen.count = seen.count + 1
  seen[kind] = true
  meanings[kind](inner, path .. "." .. kind, seen)
end

return _M
