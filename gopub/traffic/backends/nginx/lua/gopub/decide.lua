-- Which track a request takes and why; pure, the same decision as gopub/traffic/explain.py.

local address = require "gopub.address"
local conditions = require "gopub.conditions"
local murmur3 = require "gopub.murmur3"
local texts = require "gopub.text"

local _M = {}

local NULL = require("cjson").null
local bucket = murmur3.bucket
local byte, find, sub = string.byte, string.find, string.sub
local X, G = byte("xg", 1, 2)

local function some(track)
  if track == NULL or #track.peers == 0 then
    return nil
  end
  return track
end

local function tag_of(track)
  return track ~= NULL and track.tag or nil
end

local function compile_trust(trust)
  if not trust[1] then
    return nil
  end
  return address.networks(trust)
end

-- The least that a peer gets while it warms up, of what a warm one gets.
local LEAST = 0.1

--- The share of a warm peer's requests that one gets which came in at `since`: grows to 1 in `warmup` seconds.
function _M.share(warmup, since, now)
  return math.min(1, math.max(LEAST, (now - since) / warmup))
end

-- What the weight of a canary that warms up is made of: since when each peer is in (false: long ago), and until when
-- one of them is cold; nil where none is.
local function compile_cold(doc)
  if not doc.warmup or doc.warmup <= 0 or doc.canary == NULL then
    return nil
  end
  local cold = { ends = 0, warmup = doc.warmup, least = math.min(doc.weight, doc.weight_from or 0) }
  for at, peer in ipairs(doc.canary.peers) do
    cold[at] = peer.since or false
    cold.ends = math.max(cold.ends, peer.since and peer.since + doc.warmup or 0)
  end
  return cold
end

-- The weight follows what the peers take, so that none takes another one's part; never below what it was before.
local function weight_at(route, now)
  local cold = route.cold
  if not cold or now >= cold.ends then
    return route.weight
  end
  if cold.at ~= now then -- of the same moment are many requests
    local sum = 0
    for _, since in ipairs(cold) do
      sum = sum + (since and _M.share(cold.warmup, since, now) or 1)
    end
    cold.at, cold.weight = now, math.max(cold.least, math.floor(route.weight * (sum / #cold)))
  end
  return cold.weight
end

--- Whether a header speaks to routers and so counts only from trusted addresses; names in lower case.
function _M.is_ours(name)
  local first, _, third = byte(name, 1, 3)
  if first ~= X or third ~= G then -- nearly every header of nearly every request
    return false
  end
  return name:sub(1, 7) == "x-gray-" or name:sub(1, 8) == "x-gopub-"
end

-- The first header of that name.
local function header(request, name)
  if not request.trusted and _M.is_ours(name) then
    return nil
  end
  local value = request.headers[name]
  if type(value) == "table" then
    value = value[1]
  end
  return value and texts.trim(value)
end

-- All lines of x-gray-tag as one list; nil where there is none that counts.
local function tag_list(request)
  return request.trusted and texts.joined(request.headers["x-gray-tag"], ",") or nil
end

local function cookie(request, name)
  local line = texts.joined(request.headers.cookie, ";")
  local at, length = 1, line and #line or 0
  while at <= length do
    local stop = find(line, ";", at, true) or length + 1
    local pair = texts.trim(sub(line, at, stop - 1))
    local ends = find(pair, "=", 1, true)
    if ends and sub(pair, 1, ends - 1) == name then
      return sub(pair, ends + 1)
    end
    at = stop + 1
  end
  return nil
end

--- The address behind trusted proxies.
function _M.client(route, request)
  return (address.client(route.trust, request.address, texts.joined(request.headers["x-forwarded-for"], ",")))
end

--- Whom the percentage draws for: an address, or what a header or cookie says; nil when that is missing.
function _M.subject(route, request)
  local found
  if route.sticky == "address" then
    found = _M.client(route, request)
  elseif route.sticky == "header" then
    found = header(request, route.sticky_name)
  else
    found = cookie(request, route.sticky_name)
  end
  return found ~= "" and found or nil
end

local NOBODY = -1

-- The bucket of the subject, drawn once for all that ask for it; nil where there is none.
local function bucket_of(route, request)
  local drawn = request.bucket
  if not drawn then
    local subject = _M.subject(route, request)
    drawn = subject and bucket(route.salt, subject) or NOBODY
    request.bucket = drawn
  end
  return drawn ~= NOBODY and drawn or nil
end

-- The headers that a decision may read.
local function headers_of(route, names, seen)
  if route.sticky == "header" then
    names[#names + 1] = route.sticky_name
  end
  if route.sticky == "cookie" or seen.cookie then
    names[#names + 1] = "cookie"
  end
  if route.trust then
    names[#names + 1] = "x-gray-tag"
    names[#names + 1] = "x-forwarded-for"
  end
  return names
end

local HEAD = [[
local known, readers = ...
local header, cookie, client, bucket = readers.header, readers.cookie, readers.client, readers.bucket
local parameter, within, sub = readers.parameter, readers.within, readers.sub
return function(request)
]]

-- What the source of conditions calls, where the table's own words decide how.
local function readers_of(route)
  local readers = {
    header = header,
    cookie = cookie,
    client = function(request)
      return (_M.client(route, request)) -- the brackets: LuaJIT follows few calls that end a function
    end,
    bucket = function(request)
      return (bucket_of(route, request))
    end,
  }
  for name, reader in pairs(conditions.readers) do
    readers[name] = reader
  end
  return readers
end

-- The rules in order as one function of a request: the track and the id of the first that holds.
local function compile_rules(doc, route)
  local into = { known = {}, seen = {}, headers = {} }
  local known, lines = into.known, { HEAD }
  for _, rule in ipairs(doc.rules) do
    local holds = conditions.source(rule.when or { header = rule.header }, into)
    local at = #known
    known[at + 1], known[at + 2] = rule.to or "canary", rule.id
    local still = ""
    if rule["until"] then
      known[at + 3] = rule["until"]
      still = ("request.now < known[%d] and "):format(at + 3)
    end
    lines[#lines + 1] = ("if %s%s then return known[%d], known[%d] end\n"):format(still, holds, at + 1, at + 2)
  end
  lines[#lines + 1] = "return nil end"
  route.ruled = assert(loadstring(table.concat(lines), "=rules"))(known, readers_of(route))
  local seen = into.seen
  route.tags, route.headers = seen.tag == true, headers_of(route, into.headers, seen)
  route.asks_method, route.asks_path, route.asks_query = seen.method, seen.path, seen.query
end

--- What decide() needs of a valid document, taken apart once for many requests.
function _M.compile(doc)
  local kind, name = doc.sticky:match("^(%a+):(.*)$")
  local route = {
    stable = some(doc.stable) ~= nil,
    canary = some(doc.canary) ~= nil,
    ends = doc.lapse == "stable" and doc.canary_until ~= NULL and doc.canary_until or nil,
    weight = doc.weight,
    cold = compile_cold(doc),
    salt = doc.salt,
    sticky = kind or "address",
    sticky_name = kind == "header" and texts.header_name(name) or name,
    trust = compile_trust(doc.trust),
    tag_of = { stable = tag_of(doc.stable), canary = tag_of(doc.canary) },
  }
  route.trusts = route.trust and address.among(route.trust)
  compile_rules(doc, route)
  return route
end

local function by_weight(route, request)
  if route.weight == 0 then
    return "stable", "default"
  end
  local drawn = bucket_of(route, request)
  if not drawn then
    return "stable", "no-subject"
  end
  if drawn < weight_at(route, request.now) then
    return "canary", "weight"
  end
  return "stable", "default"
end

--- Track ("stable", "canary" or nil) and the name of the rule.
-- The request is {headers by lower-case name, address, trusted, now, method, path, query}; of the headers those that
-- route.headers names, and method, path and query only where route.asks_… says so.
function _M.decide(route, request)
  if not route.canary then
    if route.stable then
      return "stable", "default"
    end
    return nil, "none"
  end
  if not route.stable then
    return "canary", "only-canary"
  end
  if route.ends and request.now >= route.ends then
    return "stable", "lapsed"
  end
  request.bucket = false
  if route.tags then
    request.tags = conditions.tags(tag_list(request))
    if not request.tags then
      return "stable", "bad-tags"
    end
  end
  local track, rule = route.ruled(request)
  if not track then
    track, rule = by_weight(route, request)
  end
  return track, rule
end

return _M
