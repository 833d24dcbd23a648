-- Whether a decoded value has the shape of a route table (GP501): gopub/traffic/route_table.json says what one is, this
-- file and validate.lua read it, as gopub/traffic/shapes.py does; see there for what its words mean.

local cjson = require("cjson").new()

local _M = {}

local find = string.find
local NULL = cjson.null
local LONGEST_KEY, LONGEST_VALUE = 60, 200 -- bytes of what others wrote that a problem repeats

-- Beside the Lua, where nginx was told to look for that.
local function read()
  local places = (package.path .. ";"):gsub("%.lua;", ".json;")
  local path = assert(package.searchpath("gopub.route_table", places))
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return cjson.decode(text)
end

local SCHEMA = read()
local TYPES = SCHEMA.types

_M.ROOT, _M.TYPES = SCHEMA.root, TYPES

--- The version of route tables that this edge understands.
_M.VERSION = SCHEMA.version

--- What says of a text whether it has the length and the characters of a type.
function _M.fits(name)
  local kind = TYPES[name]
  local least, most = kind.from or 0, kind.to or math.huge
  local class = (kind.first and "[" .. kind.first .. "]" or "") .. "[" .. kind.rest .. "]*"
  local pattern = "^" .. class:gsub("%%", "%%%%") .. "$"
  return function(text)
    return #text >= least and #text <= most and find(text, pattern) ~= nil
  end
end

-- Of an object what is looked at for its meaning, in order (its keys, where nothing else is said); of a text what
-- characters and length it may have.
for name, kind in pairs(TYPES) do
  kind.of_key, kind.order = {}, kind.checks or {}
  kind.fits = kind.rest and _M.fits(name)
  for at, key in ipairs(kind.keys or {}) do
    kind.of_key[key[1]] = key[2]
    if not kind.checks then
      kind.order[at] = key[1]
    end
  end
end

-- Words ----------------------------------------------------------------------------------------------------------

local function escaped(char)
  return ("\\x%02x"):format(char:byte())
end

local function shown(value, most)
  if type(value) == "number" then
    value = ("%.0f"):format(value + 0) -- no -0
  end
  local cut = value:sub(1, most)
  if #value > most then
    local continues = value:byte(most + 1)
    if continues >= 0x80 and continues < 0xC0 then
      cut = cut:gsub("[\192-\255][\128-\191]*$", "")
    end
    cut = cut .. "…"
  end
  return (cut:gsub("%c", escaped))
end

function _M.fail(code, path, words, value)
  local said = words:gsub("{}", function()
    return shown(value, LONGEST_VALUE)
  end)
  error({ code = code, reason = (path == "" and "" or path .. " ") .. said }, 0)
end

local function misshapen(path, words)
  _M.fail("GP501", path == "" and "the table" or path, words)
end

function _M.below(path, key)
  return path == "" and key or path .. "." .. key
end

function _M.item(path, at)
  return ("%s[%d]"):format(path, at - 1)
end

-- Shape (GP501) --------------------------------------------------------------------------------------------------

local shapes = {}

local function shape(name, value, path, depth, seen)
  local kind = TYPES[name]
  seen[name] = (seen[name] or 0) + 1
  shapes[kind.is](kind, value, path, depth, seen)
end

-- An empty list is an empty object, too: a decoded document does not tell them apart.
local function is_list(value)
  local count = 0
  for _ in pairs(value) do
    count = count + 1
  end
  return count == #value
end

local function want_object(value, path)
  if type(value) ~= "table" or (next(value) ~= nil and is_list(value)) then
    misshapen(path, "is not an object")
  end
end

local function plain(lua_type, words)
  return function(_, value, path)
    if type(value) ~= lua_type then
      misshapen(path, "is not " .. words)
    end
  end
end

shapes.string = plain("string", "a string")
shapes.flag = plain("boolean", "true or false")

function shapes.whole(_, value, path)
  if type(value) ~= "number" or value % 1 ~= 0 then
    misshapen(path, "is not a whole number")
  end
end

function shapes.number(_, value, path)
  if type(value) ~= "number" then
    misshapen(path, "is not a number")
  elseif value - value ~= 0 then
    misshapen(path, "is not a number that a clock can show")
  end
end

shapes["one of"] = function(kind, value, path)
  for _, one in ipairs(kind.values) do
    if value == one then
      return
    end
  end
  misshapen(path, "is not " .. kind.words)
end

local function known_keys(kind, value, path)
  for _, key in ipairs(kind.keys) do
    if value[key[1]] == nil and key[3] ~= "optional" then
      misshapen(_M.below(path, key[1]), "is missing")
    end
  end
  local unknown = {}
  for key in pairs(value) do
    if not kind.of_key[key] then
      unknown[#unknown + 1] = key
    end
  end
  table.sort(unknown)
  if unknown[1] then
    misshapen(_M.below(path, shown(unknown[1], LONGEST_KEY)), "is not known")
  end
end

function shapes.object(kind, value, path, depth, seen)
  want_object(value, path)
  known_keys(kind, value, path)
  for _, key in ipairs(kind.keys) do
    local inner = value[key[1]]
    if inner ~= nil and not (inner == NULL and key[3] == "or null") then
      shape(key[2], inner, _M.below(path, key[1]), depth, seen)
    end
  end
end

function shapes.list(kind, value, path, depth, seen)
  if type(value) ~= "table" or not is_list(value) then
    misshapen(path, "is not a list")
  elseif kind.long and #value ~= kind.long then
    misshapen(path, "is not " .. kind.words)
  end
  for at, one in ipairs(value) do
    shape(kind.of, one, _M.item(path, at), depth, seen)
  end
end

function _M.side_of(kind, value)
  return type(value) == "table" and value[kind.by] ~= nil and kind.with or kind.without
end

function shapes.either(kind, value, path, depth, seen)
  shape(_M.side_of(kind, value), value, path, depth, seen)
end

function shapes.kind(kind, value, path, depth, seen)
  if depth == SCHEMA.deepest then
    misshapen(path, ("is deeper than %d conditions"):format(SCHEMA.deepest))
  end
  want_object(value, path)
  local key, inner = next(value)
  if key == nil or next(value, key) ~= nil then
    misshapen(path, "is not one condition")
  elseif not kind.kinds[key] then
    misshapen(_M.below(path, shown(key, LONGEST_KEY)), "is not known")
  end
  shape(kind.kinds[key], inner, _M.below(path, key), depth + 1, seen)
end

--- Raises {code, reason} where a value has not the shape of a type; how often each type stands in it otherwise.
function _M.shape(name, value)
  local seen = {}
  shape(name, value, "", 0, seen)
  return seen
end

-- Of requests ----------------------------------------------------------------------------------------------------

--- Whether a text is a tag.
_M.is_tag = _M.fits("tag")

return _M
