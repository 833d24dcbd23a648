-- nginx's variables of the request at hand, as ngx.var has them and for reading alone. A phase of ours reads many: this
-- becomes machine code wherever it is called from, which the module's own does not.

local ffi = require "ffi"
local base = require "resty.core.base"
require "resty.core.var" -- declares what is called here

local C, text_of, get_request = ffi.C, ffi.string, base.get_request
local value, length = ffi.new("unsigned char *[1]"), ffi.new("size_t[1]")
local lower = ffi.new("char[256]")
local problem = base.get_errmsg_ptr()

local function read(_, name)
  if C.ngx_http_lua_ffi_var_get(get_request(), name, #name, lower, 0, value, length, problem) ~= 0 then
    return nil
  end
  return (text_of(value[0], length[0])) -- the brackets: see router.lua
end

return setmetatable({}, { __index = read })
