-- murmur3_x86_32 with seed 0, and the bucket 0..9999 of a subject.
-- The same vectors bind gopub/traffic/buckets.py: tests/cases/traffic/buckets.yaml.

local bit = require "bit"

local band, bxor, rol, lshift, rshift, tobit = bit.band, bit.bxor, bit.rol, bit.lshift, bit.rshift, bit.tobit
local byte = string.byte

local _M = {}

-- The brackets around calls at the end of a function: LuaJIT follows few calls that end one.

-- The low 32 bits of a * b; b in two halves, so that no product leaves the 53 exact bits of a double.
local function multiply(a, high, low)
  return (tobit(tobit(a * low) + lshift(tobit(a * high), 16)))
end

local function mix(block)
  return (multiply(rol(multiply(block, 0xcc9e, 0x2d51), 15), 0x1b87, 0x3593))
end

local function tail(text, from, length)
  local block = 0
  for at = length, from, -1 do
    block = bxor(lshift(block, 8), byte(text, at))
  end
  return (mix(block))
end

local function finish(hash, length)
  hash = bxor(hash, length)
  hash = multiply(bxor(hash, rshift(hash, 16)), 0x85eb, 0xca6b)
  hash = multiply(bxor(hash, rshift(hash, 13)), 0xc2b2, 0xae35)
  return bxor(hash, rshift(hash, 16)) % 0x100000000
end

--- The unsigned 32-bit hash of a byte string.
function _M.hash(text)
  local length = #text
  local whole = length - length % 4
  local hash = 0
  for at = 1, whole, 4 do
    local b1, b2, b3, b4 = byte(text, at, at + 3)
    local block = b1 + lshift(b2, 8) + lshift(b3, 16) + lshift(b4, 24)
    hash = tobit(tobit(rol(bxor(hash, mix(tobit(block))), 13) * 5) + tobit(0xe6546b64))
  end
  if whole < length then
    hash = bxor(hash, tail(text, whole + 1, length))
  end
  return (finish(band(hash, -1), length))
end

--- The bucket of a subject under a salt.
function _M.bucket(salt, subject)
  return _M.hash(salt .. ":" .. subject) % 10000
end

return _M
