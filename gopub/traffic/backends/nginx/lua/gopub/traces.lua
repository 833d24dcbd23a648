-- For which release tables were put: the id of the W3C trace that came with a table, beside it. It decides nothing.

local disk = require "gopub.disk"

local _M = {}
local store = ngx.shared.gopub_tables
local directory

local function file(upstream)
  return (".%s.trace"):format(upstream)
end

--- The id of the trace that a `traceparent` (version 00) names; nil where it is none.
function _M.id(header)
  if type(header) ~= "string" or #header ~= 55 then
    return nil
  end
  local id, span = header:match("^00%-(%x+)%-(%x+)%-%x%x$")
  if not id or #id ~= 32 or #span ~= 16 or header:find("%u") or not id:find("[^0]") then
    return nil
  end
  return id
end

--- Where traces are kept, beside the tables.
function _M.keep_in(path)
  directory = path
end

--- Notes the trace of the table that was put; written where it is another one: a term is renewed all the time.
function _M.note(upstream, header)
  local id = _M.id(header)
  if id == _M.of(upstream) then
    return
  end
  local fine, problem = true, nil
  if id then
    fine, problem = disk.replace(directory, file(upstream), id)
  end
  if not id or not fine then
    disk.remove(directory .. "/" .. file(upstream)) -- no trace is better than that of another table
  end
  if not fine then
    ngx.log(ngx.WARN, "gopub: the trace of the table of ", upstream, " is not kept: ", problem)
  end
  store:safe_set("trace/" .. upstream, id or "")
end

--- The trace of the table in force; nil where none is known.
function _M.of(upstream)
  local known = store:get("trace/" .. upstream)
  if known == nil then
    local text = disk.read(("%s/%s"):format(directory, file(upstream)))
    known = text and text:match("^%x+$") and #text == 32 and text or ""
    store:safe_set("trace/" .. upstream, known)
  end
  return known ~= "" and known or nil
end

return _M
