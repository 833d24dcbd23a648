-- Which of the declared endpoints a request is for; pure. A pattern is [METHOD ]/path, where a segment * is any one
-- segment and ** at the end is whatever follows, nothing included. The first that fits wins. What clients send is only
-- compared: no text of theirs is kept, and no work depends on more than the pattern's segments.

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
    compiled[at] = _M.parse(endpoint.match)
  end
  return compiled[1] and compiled or nil
end

local function fits(pattern, path)
  if pattern.path then
    return pattern.path == path
  end
  local at, length = 1, #path -- `at` is the slash before the next segment
  if length == 1 then
    at = 2 -- "/" has none
  end
  for _, wanted in ipairs(pattern.segments) do
    if at > length then
      return false
    end
    local stop = find(path, "/", at + 1, true) or length + 1
    if stop == at + 1 or (wanted and sub(path, at + 1, stop - 1) ~= wanted) then
      return false
    end
    at = stop
  end
  return pattern.rest or at > length
end

--- The number of the first pattern that fits, or nil. A slash at the end of a path makes no other endpoint of it.
function _M.find(compiled, method, path)
  local length = #path
  if byte(path, 1) ~= SLASH then -- OPTIONS *
    return nil
  elseif length > 1 and byte(path, length) == SLASH then
    path = sub(path, 1, length - 1)
  end
  for at = 1, #compiled do
    local pattern = compiled[at]
    if (not pattern.method or pattern.method == method) and fits(pattern, path) then
      return at
    end
  end
  return nil
end

return _M
