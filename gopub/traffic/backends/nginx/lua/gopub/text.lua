-- The one form in which headers are read, here and in gopub/traffic/headers.py: a name is of letters, digits and
-- hyphens in lower case; spaces and tabs around a value are not of it. Linear in the length of what strangers send.

local _M = {}

local byte, sub = string.byte, string.sub
local SPACE, TAB = 32, 9

--- The text without the spaces and tabs around it.
function _M.trim(text)
  local from, to = 1, #text
  while from <= to and (byte(text, from) == SPACE or byte(text, from) == TAB) do
    from = from + 1
  end
  while to >= from and (byte(text, to) == SPACE or byte(text, to) == TAB) do
    to = to - 1
  end
  return from == 1 and to == #text and text or sub(text, from, to)
end

--- What a table names, as requests have it: nginx reads no header with an underscore, and Lua looks for `-` in its
-- place.
function _M.header_name(name)
  return (name:lower():gsub("_", "-"))
end

--- The lines of one header as one text; nil where there is none.
function _M.joined(value, by)
  return type(value) == "table" and table.concat(value, by) or value
end

return _M
