-- The counters of the declared endpoints of an upstream, for each of its series:
--   endpoints/<up>   in gopub_tables: the list of {match, slow, id} that is counted
--   <number>e<id>o   attempts that ended well, x: that failed, f: answers in time, s: slow ones
-- An id is of one pattern with one bound, so no counter ever means another thing. Names come from the table alone.

local cjson = require "cjson"

local store = ngx.shared.gopub_tables
local counters = ngx.shared.gopub_counters

local _M = {}

--- What is counted: a list of {match, slow (seconds, or nil), id}.
function _M.list(upstream)
  local text = store:get("endpoints/" .. upstream)
  return text and cjson.decode(text) or {}
end

--- The names of one endpoint's counters in one series; `fine` and `slow` only where it says what is slow.
function _M.keys(number, endpoint)
  local begin, bound = number .. "e" .. endpoint.id, endpoint.slow
  return {
    ok = begin .. "o", error = begin .. "x", bound = bound,
    fine = bound and begin .. "f", slow = bound and begin .. "s",
  }
end

local function each(entries, list, act)
  for _, entry in ipairs(entries) do
    for _, endpoint in ipairs(list) do
      local keys = _M.keys(entry.number, endpoint)
      act(keys.ok)
      act(keys.error)
      if keys.bound then
        act(keys.fine)
        act(keys.slow)
      end
    end
  end
end

local function delete(key)
  counters:delete(key)
end

--- Drops the counters of series that are gone.
function _M.forget(upstream, entries)
  each(entries, _M.list(upstream), delete)
end

-- Begins them at 0; the reason where there is no room.
local function add(entries, list)
  local problem
  each(entries, list, function(key)
    local fine, why = counters:safe_add(key, 0)
    if not fine and why ~= "exists" then
      problem = why
    end
  end)
  return problem
end

local function same(one, other)
  return one.match == other.match and one.slow == other.slow
end

local function among(list, wanted)
  for _, endpoint in ipairs(list) do
    if same(endpoint, wanted) then
      return endpoint
    end
  end
  return nil
end

-- The wanted ones with their ids, nil without memory; and those of `old` that are not wanted any more.
local function sort_out(old, wanted)
  local list, dropped = {}, {}
  for at, endpoint in ipairs(wanted) do
    local known = among(old, endpoint)
    local id = known and known.id or counters:incr("endpoints", 1, 0)
    if not id then
      return {}, old
    end
    list[at] = { match = endpoint.match, slow = endpoint.slow, id = id }
  end
  for _, endpoint in ipairs(old) do
    if not among(wanted, endpoint) then
      dropped[#dropped + 1] = endpoint
    end
  end
  return list, dropped
end

--- Drops all of an upstream's: they may never stand in the way of a table.
function _M.clear(upstream, entries)
  _M.forget(upstream, entries)
  store:delete("endpoints/" .. upstream)
end

--- Makes the counters of what the document declares for the series that it names; `others` keep theirs for as long as
-- there is a canary to compare. Where there is no room none is counted.
function _M.ensure(doc, named, others)
  local upstream = doc.upstream
  local list, dropped = sort_out(_M.list(upstream), doc.endpoints or {})
  each(named, dropped, delete)
  each(others, dropped, delete)
  if doc.canary == cjson.null then
    each(others, list, delete)
  end
  local problem = add(named, list)
  if not problem then
    local fine
    fine, problem = store:safe_set("endpoints/" .. upstream, cjson.encode(list))
    if fine then
      return
    end
  end
  each(named, list, delete)
  each(others, list, delete)
  store:delete("endpoints/" .. upstream)
  ngx.log(ngx.WARN, "gopub: the endpoints of ", upstream, " are not counted: ", problem)
end

--- The counters of each of the document's endpoints in one series, in the order of the document; false: not counted.
function _M.of(doc, list, number)
  local found = {}
  for at, endpoint in ipairs(doc.endpoints or {}) do
    local known = among(list, endpoint)
    found[at] = known and _M.keys(number, known) or false
  end
  return found
end

return _M
