-- What this edge knows of signatures beside its tables, in shared memory: whose the tables in force are, the last ones
-- that were not taken, and counts of both.
--   signature/<up>/<rev>  the signature of that table, where it has one
--   signer/<up>        whose it is, and what it is worth here: KEY (or nothing), 1 or 0, and since when, with blanks
--   refused/<up>       the last table that was not taken: when, code and why; of upstreams without one, in refused/

local cjson = require("cjson").new()
local signature = require "gopub.signature"

local store = ngx.shared.gopub_tables
local counters = ngx.shared.gopub_counters

local MOST_REASON = 400 -- bytes of why a table was refused that are kept
local MOST_NAME = 253

local _M = {}

local function place(upstream, revision)
  return ("signature/%s/%.0f"):format(upstream, revision)
end

--- The signature of the table of that revision, or nil.
function _M.signature(upstream, revision)
  return store:get(place(upstream, revision))
end

--- Keeps what signature.consider() found of a table of that revision, before it is in force; as safe_set().
function _M.keep(upstream, revision, signed)
  if not signed.text then
    return true
  end
  return store:safe_set(place(upstream, revision), signed.text)
end

--- Forgets the signature of that revision.
function _M.drop(upstream, revision)
  store:delete(place(upstream, revision))
end

--- Whose signature the table in force has: {key, believed, since}; without key it is unsigned.
function _M.of(upstream)
  local key, believed, since = (store:get("signer/" .. upstream) or ""):match("^(%x*) ([01]) ([%d.]+)$")
  return { key = key ~= "" and key or nil, believed = believed == "1", since = tonumber(since) }
end

--- Says whose the table in force is; the time stays while that does. As safe_set().
function _M.name(upstream, signed)
  local held = _M.of(upstream)
  if held.since and held.key == signed.key and held.believed == signed.believed then
    return true
  end
  local believed = signed.believed and 1 or 0
  return store:safe_set("signer/" .. upstream, ("%s %d %.3f"):format(signed.key or "", believed, ngx.now()))
end

--- Counts a table that was not taken and keeps why, for people: {upstream, at, code, reason}; upstreams without a table
-- share one place, so that nobody fills the memory. Only ASCII is kept: half a letter would break the whole status.
function _M.note_refused(upstream, code, reason)
  counters:incr("refused", 1, 0)
  local known = store:get("revision/" .. upstream) and upstream or ""
  local said = reason:sub(1, MOST_REASON):gsub("[^\32-\126]", "?")
  local why = { at = ngx.now(), code = code, reason = said, upstream = upstream:sub(1, MOST_NAME) }
  store:safe_set("refused/" .. known, cjson.encode(why))
end

--- The last table of that upstream that was not taken, or nil; "": of an upstream that has none.
function _M.refused(upstream)
  local found = store:get("refused/" .. upstream)
  return found and cjson.decode(found)
end

--- Counts a signature that did not count; gives why.
function _M.count_wrong(problem)
  counters:incr("unsigned/" .. problem.reason, 1, 0)
  return problem.text
end

--- Takes up the key files in a directory; what cannot be used is logged and counted.
function _M.load_keys(path)
  signature.load(path)
  local believed, broken = signature.keys()
  local count = 0
  for file, why in pairs(broken) do
    ngx.log(ngx.ERR, "gopub: the key ", file, " is not used, and nothing unsigned is taken: ", why)
    count = count + 1
  end
  counters:set("keys/usable", #believed)
  counters:set("keys/broken", count)
  for _, reason in ipairs(signature.REASONS) do
    counters:safe_add("unsigned/" .. reason, 0)
  end
end

return _M
