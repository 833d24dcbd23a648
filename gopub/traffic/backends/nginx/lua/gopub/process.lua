-- What a worker asks of Linux about processes.

local ffi = require "ffi"

ffi.cdef [[
int kill(int pid, int signal);
int prctl(int option, ...);
]]

local C = ffi.C
local NO_SUCH_PROCESS = 3
local PARENT_DEATH_SIGNAL = 1
local QUIT = 3 -- nginx's graceful end

local _M = {}

--- Whether there is a process of that pid, whoever owns it.
function _M.is_alive(pid)
  return C.kill(pid, 0) == 0 or ffi.errno() ~= NO_SUCH_PROCESS
end

--- Has the kernel end this worker, gracefully, when its master dies.
function _M.end_with_parent()
  C.prctl(PARENT_DEATH_SIGNAL, ffi.cast("unsigned long", QUIT))
end

return _M
