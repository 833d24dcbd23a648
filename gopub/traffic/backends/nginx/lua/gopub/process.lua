-- What a worker asks of Linux about processes.

local ffi = require "ffi"

ffi.cdef [[
int kill(int pid, int signal);
int prctl(int option, ...);
int getpid(void);
int getppid(void);
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

--- Has the kernel end this worker, gracefully, when its master dies. One that died before could not be heard of any
-- more: the worker that it left would serve for ever, beside those of the next master.
function _M.end_with_parent()
  C.prctl(PARENT_DEATH_SIGNAL, ffi.cast("unsigned long", QUIT))
  local master = require("ngx.process").get_master_pid()
  local own = C.getpid()
  if master and master ~= own and C.getppid() ~= master then -- it is its own where nginx runs as one process
    C.kill(own, QUIT)
  end
end

return _M
