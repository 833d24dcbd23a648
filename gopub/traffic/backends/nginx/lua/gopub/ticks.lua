-- The clock by which nginx measures an attempt, in milliseconds: it stands still while nginx deals with one event.

local ffi = require "ffi"

pcall(ffi.cdef, "extern volatile uintptr_t ngx_current_msec;") -- others in this nginx may have said so before

local C = ffi.C
local there = pcall(function()
  return C.ngx_current_msec
end)
local NEVER = 0 / 0 -- the same as no other moment

local _M = {}

--- Its moment. It begins anywhere, and nobody sets it. Where nginx does not show it, no two are the same.
function _M.now()
  return there and tonumber(C.ngx_current_msec) or NEVER
end

return _M
