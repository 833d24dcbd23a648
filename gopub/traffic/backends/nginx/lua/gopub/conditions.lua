-- Which requests a rule means: a tree over what of a request decides, taken apart once into closures and asked per
-- request; the same as gopub/traffic/matching.py, see tests/cases/traffic.

local address = require "gopub.address"
local shapes = require "gopub.shapes"
local texts = require "gopub.text"

local _M = {}

local find, sub = string.find, string.sub
local is_tag = shapes.is_tag

local MOST_TAGS = 64
local LONGEST_LIST = 4096

-- What of a request decides ------------------------------------------------------------------------------------

local function parse_tags(line)
  local found, count, at, length = {}, 0, 1, #line
  while at <= length do
    local stop = find(line, ",", at, true) or length + 1
    local word = texts.trim(sub(line, at, stop - 1))
    if word ~= "" then
      count = count + 1
      if count > MOST_TAGS or not is_tag(word) then
        return false
      end
      found[word] = true
    end
    at = stop + 1
  end
  return found
end

local NO_TAGS = {}
local KEPT = 1000
local LONGEST_KEPT = 256
local kept, many = {}, 0 -- lists as they were sent, with their sets: most requests carry one of few

--- The tags of the lines of x-gray-tag as a set; nil where they are no list of tags. Linear in what strangers send.
function _M.tags(line)
  if not line then
    return NO_TAGS
  end
  local found = kept[line]
  if found == nil then
    if #line > LONGEST_LIST then
      return nil
    end
    found = parse_tags(line)
    if #line <= LONGEST_KEPT then
      if many >= KEPT then
        kept, many = {}, 0
      end
      kept[line], many = found, many + 1
    end
  end
  return found or nil
end

local function char_of(digits)
  return string.char(tonumber(digits, 16))
end

-- Once: what is left of %2525 is %25. What is no escape stays.
local function decoded(value)
  if not find(value, "%", 1, true) and not find(value, "+", 1, true) then
    return value
  end
  return (value:gsub("%+", " "):gsub("%%(%x%x)", char_of))
end

-- The first value of a parameter, decoded once; nil where there is none.
local function parameter(query, name)
  local at, length = 1, query and #query or 0
  local ends = length > 0 and find(query, "=", 1, true)
  while ends do
    local stop = find(query, "&", at, true) or length + 1
    if ends < stop then
      if decoded(sub(query, at, ends - 1)) == name then
        return decoded(sub(query, ends + 1, stop - 1))
      end
      ends = find(query, "=", stop, true)
    end
    at = stop + 1
  end
  return nil
end

-- Asking -------------------------------------------------------------------------------------------------------

local compilers = {}

--- A function of a request that says whether the condition holds. `ask` reads one: header(request, name),
-- cookie(request, name), client(request), bucket(request). What it will look at is noted in `ask.seen`: kinds as keys,
-- headers as a list.
function _M.compile(condition, ask)
  local kind, inner = next(condition)
  ask.seen[kind] = true
  return compilers[kind](inner, ask)
end

function compilers.header(inner, ask)
  local name, value, read = texts.header_name(inner.name), inner.value, ask.header
  table.insert(ask.seen.headers, name)
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

function compilers.share(inner, ask)
  local read = ask.bucket
  return function(request)
    local drawn = read(request)
    return drawn ~= nil and drawn < inner
  end
end

local function compiled(list_, ask)
  local of = {}
  for at, one in ipairs(list_) do
    of[at] = _M.compile(one, ask)
  end
  return of
end

function compilers.all(inner, ask)
  local of = compiled(inner, ask)
  return function(request)
    for at = 1, #of do
      if not of[at](request) then
        return false
      end
    end
    return true
  end
end

function compilers.any(inner, ask)
  local of = compiled(inner, ask)
  return function(request)
    for at = 1, #of do
      if of[at](request) then
        return true
      end
    end
    return false
  end
end

compilers["not"] = function(inner, ask)
  local of = _M.compile(inner, ask)
  return function(request)
    return not of(request)
  end
end

return _M
