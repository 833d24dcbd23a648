-- Which requests a rule means: a tree over what of a request decides, taken apart once into closures and asked per
-- request; the same as gopub/traffic/matching.py, see tests/cases/traffic.

local address = require "gopub.address"
local murmur3 = require "gopub.murmur3"
local shapes = require "gopub.shapes"
local texts = require "gopub.text"

local _M = {}

local bucket = murmur3.bucket
local find, sub = string.find, string.sub
local is_tag = shapes.is_tag

local MOST_TAGS = 64
local LONGEST_LIST = 4096

-- What of a request decides ------------------------------------------------------------------------------------

--- The tags of the lines of x-gray-tag as a set; nil where they are no list of tags. Linear in what strangers send.
function _M.tags(line)
  local found, count = {}, 0
  if not line then
    return found
  end
  if #line > LONGEST_LIST then
    return nil
  end
  for part in line:gmatch("[^,]+") do
    local word = texts.trim(part)
    if word ~= "" then
      count = count + 1
      if count > MOST_TAGS or not is_tag(word) then
        return nil
      end
      found[word] = true
    end
  end
  return found
end

local function char_of(digits)
  return string.char(tonumber(digits, 16))
end

-- Once: what is left of %2525 is %25. What is no escape stays.
local function decoded(value)
  if not find(value, "[%%+]") then
    return value
  end
  return (value:gsub("%+", " "):gsub("%%(%x%x)", char_of))
end

-- The first value of a parameter, decoded once; nil where there is none.
local function parameter(query, name)
  for part in (query or ""):gmatch("[^&]+") do
    local ends = find(part, "=", 1, true)
    if ends and decoded(sub(part, 1, ends - 1)) == name then
      return decoded(sub(part, ends + 1))
    end
  end
  return nil
end

-- Asking -------------------------------------------------------------------------------------------------------

local compilers = {}

--- A function of (request, ask) that says whether the condition holds. `ask` reads a request: header(request, name),
-- cookie(request, name), client(request), subject(request).
function _M.compile(condition, ask, salt)
  local kind, inner = next(condition)
  return compilers[kind](inner, ask, salt)
end

function compilers.header(inner, ask)
  local name, value, read = texts.header_name(inner.name), inner.value, ask.header
  return function(request)
    return read(request, name) == value
  end
end

function compilers.cookie(inner, ask)
  local name, value, read = inner.name, inner.value, ask.cookie
  return function(request)
    return read(request, name) == value
  end
end

function compilers.query(inner)
  local name, value = inner.name, inner.value
  return function(request)
    return parameter(request.query, name) == value
  end
end

function compilers.path(inner)
  local below = inner:gsub("/+$", "") .. "/"
  local length = #below
  return function(request)
    return request.path == inner or sub(request.path, 1, length) == below
  end
end

function compilers.method(inner)
  local among = {}
  for _, name in ipairs(inner) do
    among[name] = true
  end
  return function(request)
    return among[request.method] == true
  end
end

function compilers.client(inner, ask)
  local networks, read = {}, ask.client
  for at, one in ipairs(inner) do
    networks[at] = address.network(one)
  end
  return function(request)
    return address.is_in(networks, read(request))
  end
end

function compilers.tag(inner)
  return function(request)
    return request.tags[inner] == true
  end
end

function compilers.within(inner)
  local spans = inner
  return function(request)
    local now = request.now
    for at = 1, #spans do
      local span = spans[at]
      if now < span[1] then -- they are in order
        return false
      elseif now < span[2] then
        return true
      end
    end
    return false
  end
end

function compilers.share(inner, ask, salt)
  local read = ask.subject
  return function(request)
    local subject = read(request)
    return subject ~= nil and bucket(salt, subject) < inner
  end
end

local function compiled(list_, ask, salt)
  local of = {}
  for at, one in ipairs(list_) do
    of[at] = _M.compile(one, ask, salt)
  end
  return of
end

function compilers.all(inner, ask, salt)
  local of = compiled(inner, ask, salt)
  return function(request)
    for at = 1, #of do
      if not of[at](request) then
        return false
      end
    end
    return true
  end
end

function compilers.any(inner, ask, salt)
  local of = compiled(inner, ask, salt)
  return function(request)
    for at = 1, #of do
      if of[at](request) then
        return true
      end
    end
    return false
  end
end

compilers["not"] = function(inner, ask, salt)
  local of = _M.compile(inner, ask, salt)
  return function(request)
    return not of(request)
  end
end

return _M
