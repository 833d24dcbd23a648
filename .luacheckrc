-- Every Lua file here runs inside nginx (or, in tests, under luajit).
std = "ngx_lua"
