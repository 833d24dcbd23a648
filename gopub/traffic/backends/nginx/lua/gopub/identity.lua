-- Who this edge is: drawn when its counters begin, and kept as long as they are. So it names one set of counters, by
-- however many addresses that is scraped; a restarted edge, and a copy of its machine, are others.

local counters = ngx.shared.gopub_counters

local _M = {}

local function draw()
  local file = assert(io.open("/dev/urandom", "rb"))
  local bytes = file:read(8)
  file:close()
  return (bytes:gsub(".", function(byte)
    return ("%02x"):format(byte:byte())
  end))
end

--- Draws it where there is none yet: at the start, not at a reload.
function _M.ensure()
  if counters:safe_add("identity", draw()) then
    counters:safe_add("since", ngx.now())
  end
end

--- 16 hex digits.
function _M.read()
  return counters:get("identity")
end

--- When the counters began, by this machine's clock; nil where they are older than a version that keeps it.
function _M.since()
  return counters:get("since")
end

return _M
