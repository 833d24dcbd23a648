-- IP addresses and networks as lists of 16-bit words: two for IPv4, eight for IPv6.

local bit = require "bit"

local _M = {}

local function octet(text)
  local value = tonumber(text)
  if #text > 3 or value > 255 or (#text > 1 and text:sub(1, 1) == "0") then
    return nil
  end
  return value
end

local function parse4(text)
  local a, b, c, d = text:match("^(%d+)%.(%d+)%.(%d+)%.(%d+)$")
  if not a then
    return nil
  end
  a, b, c, d = octet(a), octet(b), octet(c), octet(d)
  if not (a and b and c and d) then
    return nil
  end
  return { a * 256 + b, c * 256 + d }
end

local function add_group(words, part)
  if part:match("^%x%x?%x?%x?$") then
    words[#words + 1] = tonumber(part, 16)
    return true
  end
  local quad = parse4(part)
  if not quad then
    return false
  end
  words[#words + 1], words[#words + 2] = quad[1], quad[2]
  return true, true
end

-- The words of "a:b:c"; an IPv4 quad may be the last part where `quad` allows it.
local function groups(text, quad)
  local words, ended = {}, false
  if text == "" then
    return words
  end
  for part in (text .. ":"):gmatch("([^:]*):") do
    if ended then
      return nil
    end
    local fine, was_quad = add_group(words, part)
    if not fine or (was_quad and not quad) then
      return nil
    end
    ended = was_quad
  end
  return words
end

local function parse6(text)
  local head, rest = text:match("^(.-)::(.*)$")
  if not head then
    local words = groups(text, true)
    return words and #words == 8 and words or nil
  end
  local left, right = groups(head, false), groups(rest, true)
  if not left or not right or #left + #right > 7 then
    return nil
  end
  for _ = 1, 8 - #left - #right do
    left[#left + 1] = 0
  end
  for _, word in ipairs(right) do
    left[#left + 1] = word
  end
  return left
end

--- The words of an address, or nil when the text is none.
function _M.parse(text)
  if text:find(":", 1, true) then
    return parse6(text)
  end
  return parse4(text)
end

--- {words, bits} of "10.0.0.0/8" or of a lone address; nil when the text is neither.
function _M.network(text)
  local address, length = text:match("^([%x:.]+)/(%d%d?%d?)$")
  local words = _M.parse(address or text)
  if not words then
    return nil
  end
  local bits = length and tonumber(length) or #words * 16
  if bits > #words * 16 then
    return nil
  end
  return { words = words, bits = bits }
end

--- Host and port of "ip:port" or "[v6]:port"; nil when the text is neither.
function _M.endpoint(text)
  local host, port = text:match("^(%[[%x:.]+%]):(%d%d?%d?%d?%d?)$")
  local words
  if host then
    words = parse6(host:sub(2, -2))
  else
    host, port = text:match("^([%d.]+):(%d%d?%d?%d?%d?)$")
    words = host and parse4(host)
  end
  port = tonumber(port)
  if not words or port < 1 or port > 65535 then
    return nil
  end
  return host, port
end

local function contains(network, words)
  local own, bits = network.words, network.bits
  if #own ~= #words then
    return false
  end
  local at = 1
  while bits >= 16 do
    if own[at] ~= words[at] then
      return false
    end
    at, bits = at + 1, bits - 16
  end
  return bits == 0 or bit.rshift(own[at], 16 - bits) == bit.rshift(words[at], 16 - bits)
end

-- The words of the IPv4 address that an IPv6 one stands for (::ffff:10.0.0.5), as a socket for both kinds tells it.
local function mapped(words)
  for at = 1, 5 do
    if words[at] ~= 0 then
      return nil
    end
  end
  return words[6] == 0xffff and { words[7], words[8] } or nil
end

-- An address of IPv4 as a number.
local function number(words)
  return words[1] * 65536 + words[2]
end

--- The networks of a valid list, for is_in(). Addresses of IPv4 are found at once: a fleet has thousands of them.
function _M.networks(texts)
  local found = { single = {} }
  for _, text in ipairs(texts) do
    local network = _M.network(text)
    if network.bits == 32 and #network.words == 2 then
      found.single[number(network.words)] = true
    else
      found[#found + 1] = network
    end
  end
  return found
end

--- Whether one of the networks holds the address, or the IPv4 one that it stands for.
function _M.is_in(networks, text)
  local words = _M.parse(text)
  if not words then
    return false
  end
  local short = mapped(words)
  local plain = short or (#words == 2 and words)
  if networks.single and plain and networks.single[number(plain)] then
    return true
  end
  for at = 1, #networks do
    if contains(networks[at], words) or (short and contains(networks[at], short)) then
      return true
    end
  end
  return false
end

local MOST_KNOWN = 4096

--- is_in for these networks, which remembers the last addresses: those of one client are many requests.
function _M.among(networks)
  local known, many = {}, 0
  return function(text)
    local found = known[text]
    if found == nil then
      found = _M.is_in(networks, text)
      if many >= MOST_KNOWN then
        known, many = {}, 0
      end
      known[text], many = found, many + 1
    end
    return found
  end
end

--- The address alone of what a proxy writes: without brackets and port, IPv4 in its short form; nil when it is none.
function _M.bare(text)
  local inside = text:match("^%[([%x:.]+)%]$") or text:match("^%[([%x:.]+)%]:%d%d?%d?%d?%d?$")
  local found = inside or text:match("^([%d.]+):%d%d?%d?%d?%d?$") or text
  local words = inside and parse6(inside) or not inside and _M.parse(found)
  if not words then
    return nil
  end
  local short = mapped(words)
  if not short then
    return found
  end
  local a, b = short[1], short[2]
  return ("%d.%d.%d.%d"):format(bit.rshift(a, 8), a % 256, bit.rshift(b, 8), b % 256)
end

--- The client behind trusted proxies: the rightmost address of the chain that is not trusted.
-- What stands left of something that is no address is a lie or a mistake and does not count.
function _M.client(networks, remote, chain)
  if remote:find(":", 1, true) then
    remote = _M.bare(remote) or remote
  end
  if not networks or not chain or not _M.is_in(networks, remote) then
    return remote
  end
  local hops = {}
  for hop in chain:gmatch("[^, \t]+") do
    hops[#hops + 1] = hop
  end
  local client = remote
  for at = #hops, 1, -1 do
    local hop = _M.bare(hops[at])
    if not hop then
      return client
    end
    client = hop
    if not _M.is_in(networks, client) then
      return client
    end
  end
  return client
end

return _M
