-- Files that are whole and on the disk, or not there: temp, fsync, rename, fsync of the directory.
-- The calls block the worker for as long as the disk takes (milliseconds), only when a table is put.

local ffi = require "ffi"
local bit = require "bit"

ffi.cdef [[
int open(const char *path, int flags, ...);
int close(int fd);
int fsync(int fd);
int rename(const char *from, const char *to);
int unlink(const char *path);
long write(int fd, const void *data, unsigned long size);
char *strerror(int number);
void *opendir(const char *path);
int closedir(void *stream);
long readlink(const char *path, char *target, unsigned long size);
struct gopub_dirent { uint64_t ino; int64_t off; uint16_t reclen; uint8_t kind; char name[256]; };
struct gopub_dirent *readdir64(void *stream);
]]

local C = ffi.C
-- Of Linux, the same on amd64 and arm64.
local WRITE_CREATE_TRUNCATE = bit.bor(1, 0x40, 0x200)
local CLOSE_ON_EXEC = 0x80000
local MODE = 416 -- 0640
local MOST = 1048576
local NOT_THERE = 2

local _M = {}

_M.TOO_LONG = "the disk took too long, and another one may have been put"

local function complain(what, path)
  return nil, ("%s %s: %s"):format(what, path, ffi.string(C.strerror(ffi.errno())))
end

local function write_all(fd, body)
  local done = 0
  local bytes = ffi.cast("const char *", body)
  while done < #body do
    local count = tonumber(C.write(fd, bytes + done, #body - done))
    if count <= 0 then
      return false
    end
    done = done + count
  end
  return true
end

local function write_synced(path, body)
  local fd = C.open(path, bit.bor(WRITE_CREATE_TRUNCATE, CLOSE_ON_EXEC), ffi.cast("int", MODE))
  if fd < 0 then
    return complain("open", path)
  end
  if not write_all(fd, body) or C.fsync(fd) ~= 0 then
    local _, problem = complain("write", path)
    C.close(fd)
    return nil, problem
  end
  if C.close(fd) ~= 0 then
    return complain("close", path)
  end
  return true
end

local function sync_directory(path)
  local fd = C.open(path, CLOSE_ON_EXEC)
  if fd < 0 then
    return complain("open", path)
  end
  local code = C.fsync(fd)
  C.close(fd)
  if code ~= 0 then
    return complain("fsync", path)
  end
  return true
end

--- Puts `body` at directory/name; true when it is on the disk, else nil and the reason, with the old file in place.
-- With `more` the directory is left to the next file that is put there: file systems keep renames in their order. `may`
-- says, once the body is on the disk, which may take long, whether it still is to take the old one's place.
function _M.replace(directory, name, body, more, may)
  local path = directory .. "/" .. name
  local temporary = ("%s/.%s.%d"):format(directory, name, ngx.worker.pid())
  local fine, problem = write_synced(temporary, body)
  if fine and may and not may() then
    fine, problem = nil, _M.TOO_LONG
  elseif fine and C.rename(temporary, path) ~= 0 then
    fine, problem = complain("rename", path)
  end
  if not fine then
    C.unlink(temporary)
    return nil, problem
  end
  return more or sync_directory(directory)
end

--- Takes a file away; it may be gone.
function _M.remove(path)
  C.unlink(path)
end

local function is_link(path)
  return C.readlink(path, ffi.new("char[1]"), 1) >= 0
end

--- The names in a directory that do not begin with a dot, or (`hidden`) those that do; nil, the reason, and whether
-- there is no such directory, when it cannot be read. A link that leads nowhere is there: what it means may come yet.
function _M.list(directory, hidden)
  local stream = C.opendir(directory)
  if stream == nil then
    local missing = ffi.errno() == NOT_THERE
    local _, problem = complain("open", directory)
    return nil, problem, missing and not is_link(directory)
  end
  local names = {}
  local entry = C.readdir64(stream)
  while entry ~= nil do
    local name = ffi.string(entry.name)
    if (name:sub(1, 1) == ".") == (hidden or false) then
      names[#names + 1] = name
    end
    entry = C.readdir64(stream)
  end
  C.closedir(stream)
  table.sort(names)
  return names
end

--- The content of a file of at most 1 MiB; nil and the reason otherwise.
function _M.read(path)
  local file, problem = io.open(path, "rb")
  if not file then
    return nil, problem
  end
  local body = file:read(MOST + 1)
  file:close()
  if not body or #body > MOST then
    return nil, path .. ": empty, or more than 1 MiB"
  end
  return body
end

return _M
