-- Memory that all workers share and read without a lock: numbers, each written by one worker at a time, whole as a
-- processor writes it. The master makes it before it forks, and the workers have it at the same address; a reload finds
-- it again. Where there is none, whoever asks for it does with the shared dicts, which are as right and slower.
-- Beside the counts that point into it, so that nobody enlarges one of the two alone: a dict of
-- another size is a new one.
--   region       in gopub_inflight: its address
--   region/used  how many numbers are given away

local ffi = require "ffi"

ffi.cdef [[
void *mmap(void *address, size_t length, int protection, int flags, int file, long offset);
]]

local store = ngx.shared.gopub_inflight

local _M = {}

local SIZE = 2097152 -- numbers: 16 MiB, of which memory is taken as they are used
local READ_WRITE, SHARED_ANONYMOUS_UNRESERVED = 3, 0x4021 -- Linux's; not on MIPS, Alpha, PA-RISC and Xtensa
local CHANGES, FAREWELL, FIRST = 0, 1, 2

local function make()
  local length = ffi.cast("size_t", SIZE * 8)
  local address = ffi.C.mmap(nil, length, READ_WRITE, SHARED_ANONYMOUS_UNRESERVED, -1, 0)
  local number = tonumber(ffi.cast("intptr_t", address))
  if number == -1 or not store:safe_set("region/used", FIRST) or not store:safe_set("region", number) then
    return nil
  end
  return number
end

-- Only the master may make it: a worker's own would be nothing to the others.
local function open()
  local phase = ngx.get_phase()
  local address = store:get("region") or phase == "init" and (jit.arch == "x64" or jit.arch == "arm64") and make()
  return address and ffi.cast("double *", ffi.cast("uintptr_t", address)) or nil
end

local numbers = open()

--- The numbers by their places; nil where there is no such memory.
_M.numbers = numbers

--- A number that nobody else writes, at 0: its place. nil where there is none left.
function _M.place()
  local used = numbers and store:get("region") and store:incr("region/used", 1) -- what is read is not pushed out
  if not used or used > SIZE then
    return nil
  end
  numbers[used - 1] = 0
  return used - 1
end

--- How many changes there were to the tables; nil where nobody counts them.
function _M.changes()
  return numbers and numbers[CHANGES] or nil
end

--- A table changed. Only under the lock of the tables.
function _M.changed()
  if numbers then
    numbers[CHANGES] = numbers[CHANGES] + 1
  end
end

--- Until when connections end with their next answer.
function _M.farewell()
  return numbers and numbers[FAREWELL] or store:get("farewell") or 0
end

--- Has them end so.
function _M.say_farewell(moment)
  if numbers then
    numbers[FAREWELL] = moment
    return true
  end
  return store:safe_set("farewell", moment)
end

return _M
