-- Which of the declared endpoints a request is for; pure. A pattern is [METHOD ]/path, where a segment * is any one
-- segment and ** at the end is whatever follows, nothing included. The first that fits wins. What clients send is only
-- compared: no text of theirs outlives the next request, and no work depends on more than the patterns' segments.

local _M = {}

local byte, find, sub = string.byte, string.find, string.sub
local SLASH = byte("/")

--- The most that a table may name, and the most characters of each.
_M.MOST, _M.LENGTH = 10, 128

-- Letters, digits and what a path may hold as it is; neither % nor ?, for paths are compared decoded, without a query.
local SEGMENT = "^[A-Za-z0-9._~!$&'()+,;=:@-]+$"

local function is_segment(text, last)
  if text == "*" or (text == "**" and last) then
    return true
  end
  return text ~= "." and text ~= ".." and text:find(SEGMENT) ~= nil
end

--- A pattern taken apart: {method, path (where nothing in it is open), segments (false: *), rest}; nil if it is none.
function _M.parse(text)
  local method, path = text:match("^([A-Z]+) (/.*)$")
  path = path or text
  if #text > _M.LENGTH or byte(path, 1) ~= SLASH then
    return nil
  end
  local found = { method = method, segments = {}, rest = false, path = path }
  local at, stop = 2, #path > 1
  while stop do
    stop = find(path, "/", at, true)
    local segment = sub(path, at, (stop or #path + 1) - 1)
    if not is_segment(segment, not stop) then
      return nil
    elseif segment == "**" then
      found.rest, found.path = true, nil
    else
      found.segments[#found.segments + 1] = segment ~= "*" and segment
      found.path = segment ~= "*" and found.path or nil
    end
    at = (stop or 0) + 1
  end
  return found
end

--- The patterns of a valid table, taken apart once for many requests; nil where there are none.
function _M.compile(list)
  local compiled = {}
  for at, endpoint in ipairs(list or {}) do
    local pattern = _M.parse(endpoint.match)
    compiled[at] = pattern
    if not pattern.path then
      compiled.most = math.max(compiled.most or 0, #pattern.segments)
    end
  end
  return compiled[1] and compiled or nil
end

local parts = {} -- of the path at hand, and beyond its end of others

-- Takes a path apart once for all patterns, up to one part more than any of them has; how many there are.
local function split(path, most)
  local count, at, length = 0, 1, #path -- `at` is the slash before the next part
  while at <= length and length > 1 and count <= most do -- "/" has none
    local stop = find(path, "/", at + 1, true) or length + 1
    count = count + 1
    parts[count] = sub(path, at + 1, stop - 1)
    at = stop
  end
  return count
end

local function fits(pattern, path, count)
  if pattern.path then
    return pattern.path == path
  end
  local segments = pattern.segments
  local own = #segments
  if count < own or (count > own and not pattern.rest) then
    return false
  end
  for at = 1, own do
    local part, wanted = parts[at], segments[at]
    if part == "" or (wanted and part ~= wanted) then
      return false
    end
  end
  return true
end

--- The number of the first pattern that fits, or nil. A slash at the end of a path makes no other endpoint of it.
function _M.find(compiled, method, path)
  local length = #path
  if byte(path, 1) ~= SLASH then -- OPTIONS *
    return nil
  elseif length > 1 and byte(path, length) == SLASH then
    path = sub(path, 1, length - 1)
  end
  local count = compiled.most and split(path, compiled.most) or 0
  for at = 1, #compiled do
    local pattern = compiled[at]
    if (not pattern.method or pattern.method == method) and fits(pattern, path, count) then
      return at
    end
  end
  return nil
end

return _M
