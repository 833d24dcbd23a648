-- The headers of a request in one walk: what a route asks for is read, and what a stranger may not say is taken off. Of
-- any other header no Lua string is made.

local ffi = require "ffi"
local base = require "resty.core.base"
require "resty.core.request" -- declares what is called here
local forwarded = require "gopub.forwarded"

local C, text_of, get_request = ffi.C, ffi.string, base.get_request
local MANY = 64
local Lines = ffi.typeof("ngx_http_lua_ffi_table_elt_t[?]")
local usual, truncated = Lines(MANY), ffi.new("int[1]")
local F, O, X, G, R = ("foxgr"):byte(1, 5)

local _M = {}

--- What of the headers is asked for, by a list of names in lower case.
function _M.wants(names)
  local wants = { headers = {}, among = {}, first = ffi.new("uint8_t[?]", 64 * 32) }
  local own, lines = {}, { "local own = ... return function(headers)" }
  for _, name in ipairs(names) do
    if name ~= "" and not wants.among[name] then
      wants.among[name] = true
      wants.first[#name % 64 * 32 + name:byte(1) % 32] = 1
      own[#own + 1] = name
      lines[#lines + 1] = ("headers[own[%d]] = false"):format(#own)
    end
  end
  lines[#lines + 1] = "end"
  wants.clear = assert(loadstring(table.concat(lines, "\n"), "=clear"))(own) -- without a loop: see conditions.lua
  return wants
end

-- Whether it may be one of those that only a trusted proxy may send: x-g…, x-f…, x-r…, fo….
local function may_claim(name, length)
  local first = name[0]
  if first == X then
    local third = length > 2 and name[2] or 0
    return third == F or third == G or third == R
  end
  return first == F and length > 1 and name[1] == O
end

local function keep(headers, name, value)
  local there = headers[name]
  if not there then
    headers[name] = value
  elseif type(there) == "table" then
    there[#there + 1] = value
  else
    headers[name] = { there, value }
  end
end

local lines

-- Has nginx tell the headers, and says how many.
local function tell(wants)
  wants.clear(wants.headers)
  local r = get_request()
  local count = C.ngx_http_lua_ffi_req_get_headers_count(r, 0, truncated) -- 0: one beyond the hundredth, too
  lines = count <= MANY and usual or Lines(count)
  if count < 0 or (count > 0 and C.ngx_http_lua_ffi_req_get_headers(r, lines, count, 0) ~= 0) then
    error("gopub: nginx gives no headers") -- no request may pass that was not looked at
  end
  return count
end

--- Sets `request.headers`: by name what `wants` names (a text, a list of several lines, or false). `claims` becomes a
-- list of the names that only trusted proxies may send; how many there are is the answer.
function _M.read(wants, request, claims)
  local count, headers = tell(wants), wants.headers
  request.headers = headers
  local claimed, first, told = 0, wants.first, lines
  for at = 0, count - 1 do
    local line = told[at]
    local name, length = line.key.data, line.key.len
    if length > 0 then
      local wanted, suspect = first[length % 64 * 32 + name[0] % 32] ~= 0, may_claim(name, length)
      if wanted or suspect then
        local known = text_of(name, length)
        if wanted and wants.among[known] then
          keep(headers, known, text_of(line.value.data, line.value.len))
        end
        if suspect and forwarded.is_claim(known) then
          claimed = claimed + 1
          claims[claimed] = known
        end
      end
    end
  end
  return claimed
end

return _M
