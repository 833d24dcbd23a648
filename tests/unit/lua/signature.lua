-- Runs signature.lua under plain luajit with the system's libcrypto: {"text", "given"} per line in, and what consider()
-- says out.
--   luajit signature.lua DIRECTORY KEYS [none]    none: as in an nginx without OpenSSL

package.path = arg[1] .. "/?.lua;" .. package.path

local cjson = require "cjson"
if arg[3] ~= "none" then
  require("ffi").load("libcrypto.so.3", true)
end
local signature = require "gopub.signature"

signature.load(arg[2])

for line in io.lines() do
  local input = cjson.decode(line)
  local given = input.given
  if given == cjson.null then
    given = nil
  end
  local found, wrong = signature.consider(input.text, given)
  print(cjson.encode(found and { key = found.key, believed = found.believed } or { reason = wrong.reason }))
end
