-- A table on the disk and the signature beside it. The signature's file is named by the digest of the table that it
-- belongs to, and written first: however a put is cut off, no table is ever paired with another one's signature.

local disk = require "gopub.disk"
local signature = require "gopub.signature"

local _M = {}

local function beside(upstream, digest)
  return (".%s.json.%s.sig"):format(upstream, digest)
end

--- Keeps the signature of a table that lies there, or is put next (`more`); true, or nil and the reason.
function _M.sign(directory, upstream, text, signed, more)
  local digest = signature.digest(text)
  if not digest then
    return nil, "nginx has no libcrypto"
  end
  return disk.replace(directory, beside(upstream, digest), signed, more)
end

local function forget(directory, upstream, text)
  local digest = signature.digest(text)
  if digest then
    disk.remove(directory .. "/" .. beside(upstream, digest))
  end
end

--- Puts a table and its signature (nil: it has none) in the place of `old`, the text that was in force (nil: none), if
-- it still `may`; see disk.lua.
function _M.replace(directory, upstream, text, signed, old, may)
  if signed then
    local fine, problem = _M.sign(directory, upstream, text, signed, true)
    if not fine then
      return nil, problem
    end
  else
    forget(directory, upstream, text) -- the same bytes may have been signed once
  end
  local fine, problem = disk.replace(directory, upstream .. ".json", text, nil, may)
  if fine and not may() then -- while the directory was written
    return nil, disk.TOO_LONG
  end
  if fine and old and old ~= text then
    forget(directory, upstream, old)
  end
  return fine, problem
end

--- The table of an upstream and its signature, nil where it has none; nil and the reason where it cannot be read.
function _M.read(directory, upstream)
  local text, problem = disk.read(("%s/%s.json"):format(directory, upstream))
  if not text then
    return nil, problem
  end
  local digest = signature.digest(text)
  return text, digest and disk.read(directory .. "/" .. beside(upstream, digest)) or nil
end

--- Takes away the signatures that belong to no table: what a put that was cut off left there. At the start only.
function _M.sweep(directory)
  for _, name in ipairs(disk.list(directory, true) or {}) do
    local upstream, digest = name:match("^%.(.+)%.json%.(%x+)%.sig$")
    local text = upstream and #digest == 64 and disk.read(("%s/%s.json"):format(directory, upstream))
    if text and signature.digest(text) ~= digest then
      disk.remove(directory .. "/" .. name)
    end
  end
end

return _M
