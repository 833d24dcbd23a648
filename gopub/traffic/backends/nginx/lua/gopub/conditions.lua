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

-- A condition becomes the source of a Lua expression over `request`: without a loop or a call for each of its parts,
-- so that LuaJIT makes one straight piece of machine code of all rules. No text of a table becomes source: what it says
-- is put into a list, and the source has its number there.
local writers = {}

local function known(value, into)
  into[#into + 1] = value
  return ("known[%d]"):format(#into)
end

--- The source of a condition. What the table says is added to `into.known`, kinds are noted in `into.seen` and the
-- names of headers in `into.headers`. The functions that it calls are those of `readers`, by decide.lua.
function _M.source(condition, into)
  local kind, inner = next(condition)
  into.seen[kind] = true
  return "(" .. writers[kind](inner, into) .. ")"
end

function writers.header(inner, into)
  local name = texts.header_name(inner.name)
  table.insert(into.headers, name)
  return ("header(request, %s) == %s"):format(known(name, into.known), known(inner.value, into.known))
end

function writers.cookie(inner, into)
  return ("cookie(request, %s) == %s"):format(known(inner.name, into.known), known(inner.value, into.known))
end

function writers.query(inner, into)
  local name, value = known(inner.name, into.known), known(inner.value, into.known)
  return ("parameter(request.query, %s) == %s"):format(name, value)
end

function writers.path(inner, into)
  local below = inner:gsub("/+$", "") .. "/"
  return ("request.path == %s or sub(request.path, 1, %d) == %s"):format(
    known(inner, into.known), #below, known(below, into.known))
end

function writers.method(inner, into)
  local among = {}
  for _, name in ipairs(inner) do
    among[name] = true
  end
  return ("%s[request.method] == true"):format(known(among, into.known))
end

function writers.client(inner, into)
  local networks = {}
  for at, one in ipairs(inner) do
    networks[at] = address.network(one)
  end
  return ("%s(client(request))"):format(known(address.among(networks), into.known))
end

function writers.tag(inner, into)
  return ("request.tags[%s] == true"):format(known(inner, into.known))
end

local FEW = 16 -- spans in the source; more are gone through

local function within(spans, now)
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

function writers.within(inner, into)
  if #inner > FEW then
    return ("within(%s, request.now)"):format(known(inner, into.known))
  end
  local parts = {}
  for at, span in ipairs(inner) do
    local from, to = known(span[1], into.known), known(span[2], into.known)
    parts[at] = ("request.now >= %s and request.now < %s"):format(from, to)
  end
  return table.concat(parts, " or ")
end

function writers.share(inner, into)
  return ("(bucket(request) or 1e9) < %s"):format(known(inner, into.known))
end

local function joined(list, word, into)
  local parts = {}
  for at, one in ipairs(list) do
    parts[at] = _M.source(one, into)
  end
  return table.concat(parts, word)
end

function writers.all(inner, into)
  return inner[1] and joined(inner, " and ", into) or "true"
end

function writers.any(inner, into)
  return inner[1] and joined(inner, " or ", into) or "false"
end

writers["not"] = function(inner, into)
  return "not " .. _M.source(inner, into)
end

--- What the source calls that needs no table's words.
_M.readers = { parameter = parameter, within = within, sub = sub }

return _M
