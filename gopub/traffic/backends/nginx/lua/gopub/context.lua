-- What a request carries on from here: x-gray-tag (the tags that came from whom we trust, and that of the track it
-- takes), x-gray-rule (which rule of which revision sent it), and both in W3C baggage, among the members of others.
-- What strangers claim is dropped. Nothing of it may cost a request its answer: what has no room is not added. Pure,
-- but for pass().

local conditions = require "gopub.conditions"
local texts = require "gopub.text"

local _M = {}

local char, find, sub = string.char, string.find, string.sub

--- The limits of W3C baggage: members, and bytes of them all.
_M.MOST, _M.LONGEST = 64, 8192

local OURS = "gray."

-- Tags ---------------------------------------------------------------------------------------------------------

--- The line of x-gray-tag for what follows, and whether that is another one than came. A malformed list goes on as it
-- came: nobody concludes anything from it.
local function tag_line(route, request, track)
  local came = request.trusted and texts.joined(request.headers["x-gray-tag"], ",") or nil
  local own = route.tag_of[track]
  if not own then
    return came, false
  end
  local there = conditions.tags(came)
  if not there or there[own] then
    return came, false
  end
  local line = next(there) and came .. "," .. own or own
  return conditions.tags(line) and line or came, true
end

-- Baggage ------------------------------------------------------------------------------------------------------

local function char_of(digits)
  return char(tonumber(digits, 16))
end

local function decoded(text)
  return find(text, "[%%+]") and text:gsub("%+", " "):gsub("%%(%x%x)", char_of) or text
end

-- What a library may take off around a name: blanks, controls, and what is no ASCII (blanks are among that, too).
local AROUND = "[%c \127-\255]*"

-- The name of a member: what stands before its value and its properties; decoded, for libraries for tracing decode it,
-- and write it to the next service as if it had come so.
local function name_of(member)
  return decoded(member:match("^[^=;]*")):match("^" .. AROUND .. "(.-)" .. AROUND .. "$")
end

-- Whether a member of that name stays: of a stranger none of gray traffic's does.
local function stays(name, trusted)
  if sub(name, 1, #OURS) ~= OURS then
    return true
  end
  return trusted and name ~= "gray.tags" and name ~= "gray.rule"
end

local function kept_of(line, trusted)
  local kept = {}
  for part in line:gmatch("[^,]+") do
    local member = texts.trim(part)
    if member ~= "" and stays(name_of(member), trusted) then
      kept[#kept + 1] = member
    end
  end
  return kept
end

local function add(kept, size, member)
  if #kept >= _M.MOST or size + #member + 1 > _M.LONGEST then
    return size
  end
  kept[#kept + 1] = member
  return size + #member + 1
end

-- The tags as a member's value: in it a comma would end the member.
local function escaped(line)
  return (line:gsub("[ \t]+", ""):gsub(",+", ","):gsub("^,", ""):gsub(",$", ""):gsub(",", "%%2C"))
end

-- The baggage for what follows; nil: as it came.
local function baggage(request, tags, rule)
  local came = texts.joined(request.headers.baggage, ",")
  if not rule and not (came and find(decoded(came), OURS, 1, true)) then
    return nil
  end
  local kept = kept_of(came or "", request.trusted)
  local size = math.max(0, #kept - 1)
  for _, member in ipairs(kept) do
    size = size + #member
  end
  if tags then
    size = add(kept, size, "gray.tags=" .. escaped(tags))
  end
  if rule then
    add(kept, size, "gray.rule=" .. rule)
  end
  return table.concat(kept, ",")
end

-- Together -----------------------------------------------------------------------------------------------------

--- {tags, rule, baggage}: the headers for what follows; nil where one stays as it came, "" where it is taken off.
-- The rule stands in the baggage of what is tagged or gets the canary: other requests have nothing to carry.
function _M.values(route, request, track, rule)
  local line, is_new = tag_line(route, request, track)
  local sound = line and next(conditions.tags(line) or {}) and line or nil
  local said = rule .. route.at_revision
  local carried = (sound or track == "canary") and said or nil
  return { tags = is_new and line or nil, rule = said, baggage = baggage(request, sound, carried) }
end

local MOST, LONGEST = 1000, 256

-- values() of a request without baggage of its own, remembered by what it depends on: tags, track, rule and revision.
local function remembered(route, request, track, rule)
  local line = request.trusted and texts.joined(request.headers["x-gray-tag"], ",") or ""
  local of_track = route.carried and route.carried[track]
  local of_rule = of_track and of_track[rule]
  local found = of_rule and of_rule[line]
  if found then
    return found
  end
  found = _M.values(route, request, track, rule)
  if #line > LONGEST then
    return found
  elseif not route.carried or route.many_carried >= MOST then
    route.carried, route.many_carried = { stable = {}, canary = {} }, 0
  end
  of_track = route.carried[track]
  of_track[rule] = of_track[rule] or {}
  of_track[rule][line], route.many_carried = found, route.many_carried + 1
  return found
end

local function set(name, value)
  if value == "" then
    ngx.req.clear_header(name)
  elseif value then
    ngx.req.set_header(name, value)
  end
end

--- Puts them on the request.
function _M.pass(route, request, track, rule)
  local values = request.headers.baggage and _M.values(route, request, track, rule)
    or remembered(route, request, track, rule)
  set("x-gray-tag", values.tags)
  set("x-gray-rule", values.rule)
  set("baggage", values.baggage)
end

return _M
