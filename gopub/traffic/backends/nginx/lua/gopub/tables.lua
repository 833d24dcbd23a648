-- The tables that this edge obeys: one document per upstream, in shared memory and on the disk.
--   names              the upstreams, one a line
--   revision/<up>      the revision that is in force; a worker decodes anew when it differs from what it holds
--   doc/<up>/<rev>     that document, as it was put; there before the revision says so
--   signature/…, signer/…, refused/…, series/<up>, trace/<up>  see signers.lua, series.lua, traces.lua
--   lock, puts         held while a table is being put, by the number of that put; how many there were

local cjson = require("cjson").new()
local address = require "gopub.address"
local batch = require "gopub.batch"
local decide = require "gopub.decide"
local disk = require "gopub.disk"
local endpoint_series = require "gopub.endpoint_series"
local endpoints = require "gopub.endpoints"
local farewell = require "gopub.farewell"
local identity = require "gopub.identity"
local inflight = require "gopub.inflight"
local kept = require "gopub.kept"
local process = require "gopub.process"
local region = require "gopub.region"
local series = require "gopub.series"
local signature = require "gopub.signature"
local signers = require "gopub.signers"
local traces = require "gopub.traces"
local validate = require "gopub.validate"

cjson.decode_invalid_numbers(false)

local store = ngx.shared.gopub_tables
local counters = ngx.shared.gopub_counters
local NULL = cjson.null

local _M = {}

local directory -- where the documents lie; set by load() in the master, inherited by the workers
local compiled = {} -- of this worker: upstream -> route

-- Reading ------------------------------------------------------------------------------------------------------

--- The text of the table in force, or nil.
function _M.text(upstream)
  for _ = 1, 3 do -- a put may delete the old document between the two reads
    local revision = store:get("revision/" .. upstream)
    if not revision then
      return nil
    end
    local text = store:get(("doc/%s/%.0f"):format(upstream, revision))
    if text then
      return text, revision
    end
  end
  return nil
end

--- All upstreams, sorted.
function _M.names()
  local names = {}
  for name in (store:get("names") or ""):gmatch("[^\n]+") do
    names[#names + 1] = name
  end
  return names
end

local function compile_track(doc, key, entries, counted)
  local track = doc[key]
  if track == NULL or #track.peers == 0 then
    return nil
  end
  local release = track.release:sub(1, 12)
  local peers, warm_at = {}, 0
  for at, peer in ipairs(track.peers) do
    if doc.warmup and doc.warmup > 0 and peer.since then
      warm_at = math.max(warm_at, peer.since + doc.warmup)
    end
    local ip, port = address.endpoint(peer.address)
    local entry = entries[release .. "/" .. peer.host] or {}
    local held, place = inflight.key(doc.upstream, peer.host, peer.address)
    peers[at] = {
      host = peer.host, release = release, ip = ip, port = port,
      inflight = held, place = place, since = peer.since,
      counters = entry.number and series.keys(entry.number), ends = entry.ends,
      endpoints = entry.number and doc.endpoints and endpoint_series.of(doc, counted, entry.number),
    }
  end
  return { name = key, peers = peers, count = #peers, last = math.random(#peers), warm_at = warm_at,
    warmup = doc.warmup }
end

local function compile(text, revision)
  local doc = cjson.decode(text)
  local entries, counted = series.by_peer(doc.upstream), endpoint_series.list(doc.upstream)
  local route = decide.compile(doc)
  route.key = "revision/" .. doc.upstream
  route.revision = revision
  route.at_revision = ("@%.0f"):format(revision)
  route.fallback = doc.fallback
  route.latency = doc.latency or "auto"
  route.endpoints = endpoints.compile(doc.endpoints)
  route.no_subject = "no-subject/" .. doc.upstream
  route.bad_tags = "bad-tags/" .. doc.upstream
  route.tracks = {
    stable = compile_track(doc, "stable", entries, counted), canary = compile_track(doc, "canary", entries, counted),
  }
  return route
end

--- The route of an upstream as this worker uses it, or nil. The dict is looked into where a table changed, and each
-- second: a worker of an older version tells nobody.
function _M.get(upstream)
  local route, changes, now = compiled[upstream], region.changes(), ngx.now()
  if route and changes and route.changes == changes and now < route.again then -- each request asks
    return route
  end
  if not route or route.revision ~= store:get(route.key) then
    local text, found = _M.text(upstream)
    route = text and compile(text, found) or nil
    compiled[upstream] = route
  end
  if route then
    route.changes, route.again = changes, now + 1
  end
  return route
end

-- Checking -----------------------------------------------------------------------------------------------------

--- The valid document of a text; nil and {code, reason} otherwise.
function _M.parse(text, upstream)
  local fine, doc = pcall(cjson.decode, text)
  local odd = not fine and tostring(doc) or validate.oddity(text, doc)
  if odd then
    return nil, { code = "GP501", reason = "the table is not JSON: " .. odd }
  end
  local problem = validate.problem(doc)
  if not problem and doc.upstream ~= upstream then
    problem = { code = "GP502", reason = ('the table is for upstream "%s"'):format(doc.upstream) }
  end
  if problem then
    return nil, problem
  end
  return doc
end

-- Why the edge, which holds `held`, must not take `doc`; nil when it may.
local function refusal(doc, held)
  if doc.app ~= held.app or doc.env ~= held.env then
    return "the upstream belongs to another app and env"
  end
  if doc.epoch < held.epoch then
    return "the epoch is over"
  end
  if doc.epoch == held.epoch then
    if doc.token ~= held.token then
      return "another seat has this epoch"
    elseif doc.n <= held.n then
      return "the order is not newer"
    end
  end
  if doc.revision <= held.revision then
    return "the revision does not grow"
  end
  return nil
end

-- Writing ------------------------------------------------------------------------------------------------------

local function add_name(upstream)
  local names = _M.names()
  for _, name in ipairs(names) do
    if name == upstream then
      return true
    end
  end
  names[#names + 1] = upstream
  table.sort(names)
  return store:safe_set("names", table.concat(names, "\n"))
end

-- Everything that can run out of memory comes before the disk, everything after it only swaps.
local function reserve(doc, text, signed)
  local fine, problem = store:safe_set(("doc/%s/%.0f"):format(doc.upstream, doc.revision), text)
  if fine then
    fine, problem = signers.keep(doc.upstream, doc.revision, signed)
  end
  if fine then
    fine, problem = series.ensure(doc)
  end
  if fine then
    counters:safe_add("no-subject/" .. doc.upstream, 0)
    counters:safe_add("bad-tags/" .. doc.upstream, 0)
    fine, problem = add_name(doc.upstream)
  end
  return fine, problem
end

local function drop(upstream, revision)
  store:delete(("doc/%s/%.0f"):format(upstream, revision))
  signers.drop(upstream, revision)
end

local function swap(doc, signed)
  local upstream = doc.upstream
  local old = store:get("revision/" .. upstream)
  local fine, problem = store:safe_set("revision/" .. upstream, doc.revision)
  region.changed()
  if fine and old then
    drop(upstream, old)
  end
  signers.name(upstream, signed)
  return fine, problem
end

-- A disk that stands still for longer than the lock lasts lets another put pass: what was put before must not come
-- after it, in the file or in the memory.
local function commit(doc, text, signed, held_text, number)
  local function holds()
    return store:get("lock") == number
  end
  local fine, problem = reserve(doc, text, signed)
  if fine then
    fine, problem = kept.replace(directory, doc.upstream, text, signed.text, held_text, holds)
  end
  if not fine then
    drop(doc.upstream, doc.revision)
    return nil, problem
  end
  return swap(doc, signed)
end

-- The same table again: the same answer. Its signature takes the place of the one before where that was another key's
-- (one key makes any number for the same bytes), or was not believed: so keys change while a table stands.
local function put_again(doc, text, signed)
  local held = signers.of(doc.upstream)
  local better = signed.key ~= held.key or signed.believed ~= held.believed
  if not signed.text or not better then
    return { status = 200, doc = doc }
  end
  local fine, problem = kept.sign(directory, doc.upstream, text, signed.text)
  if fine then
    fine, problem = signers.keep(doc.upstream, doc.revision, signed)
  end
  if fine then
    fine, problem = signers.name(doc.upstream, signed)
  end
  if not fine then
    return { status = 500, code = "GP503", reason = "the signature could not be kept: " .. tostring(problem) }
  end
  return { status = 200, doc = doc }
end

local function put_locked(doc, text, signed, number)
  local held_text = _M.text(doc.upstream)
  if held_text == text then
    return put_again(doc, text, signed)
  end
  local held = held_text and cjson.decode(held_text)
  local reason = held and refusal(doc, held)
  if reason then
    return { status = 409, code = "GP503", reason = reason, held = held }
  end
  local fine, problem = commit(doc, text, signed, held_text, number)
  if not fine then
    return { status = 500, code = "GP503", reason = "the table could not be kept: " .. tostring(problem) }
  end
  return { status = 200, doc = doc }
end

local function lock()
  local number = store:incr("puts", 1, 0)
  for _ = 1, 400 do
    if store:safe_add("lock", number, 10) then -- 10 s: outlives any put but a stuck disk's, not a dead worker for ever
      return number
    end
    ngx.sleep(0.005)
  end
  return nil
end

local function refuse(upstream, status, code, reason)
  signers.note_refused(upstream, code, reason)
  return { status = status, code = code, reason = reason }
end

--- Takes a table or refuses it: {status, doc} or {status, code, reason, held}; with 200 it is on the disk. `given` is
-- its signature's header as nginx has it; nothing of a table is read before that is found right.
function _M.put(upstream, text, given)
  local signed, wrong = signature.consider(text, given)
  if not signed then
    return refuse(upstream, 403, "GP520", signers.count_wrong(wrong))
  end
  local doc, problem = _M.parse(text, upstream)
  if not doc then
    return refuse(upstream, 422, problem.code, problem.reason)
  end
  local number = lock()
  if not number then
    return { status = 503, code = "GP503", reason = "another table is being put" }
  end
  local fine, answer = pcall(put_locked, doc, text, signed, number)
  if store:get("lock") == number then
    store:delete("lock")
  end
  if not fine then
    answer = { status = 500, code = "GP503", reason = tostring(answer) }
  end
  if answer.status ~= 200 then
    signers.note_refused(upstream, answer.code, answer.reason)
  end
  return answer
end

-- Starting -----------------------------------------------------------------------------------------------------

local function take_up(upstream, text, signed)
  local doc, problem = _M.parse(text, upstream)
  if not doc then
    return nil, problem.reason
  end
  local fine, why = reserve(doc, text, signed)
  if fine then
    fine, why = swap(doc, signed)
  end
  return fine, why
end

-- After a reload the shared memory is as new as the disk. The keys may be others: what serves goes on, and who looks is
-- told that the next start will not use it.
local function look_again(upstream)
  local text, revision = _M.text(upstream)
  if not text then
    return nil, "its document is gone"
  end
  local signed, wrong = signature.consider(text, signers.signature(upstream, revision))
  if not signed then
    ngx.log(ngx.ERR, "gopub: the table of ", upstream, " serves on, and the next start will not use it: ", wrong.text)
    signed = { key = signers.of(upstream).key, believed = false }
  end
  return signers.name(upstream, signed)
end

local function load_file(name)
  local upstream = name:match("^(.+)%.json$")
  if not upstream then
    return nil, "its name does not end in .json"
  elseif store:get("revision/" .. upstream) then
    return look_again(upstream)
  end
  local text, given = kept.read(directory, upstream)
  if not text then
    return nil, given
  end
  local signed, wrong = signature.consider(text, given)
  if not signed then
    return nil, signers.count_wrong(wrong)
  end
  return take_up(upstream, text, signed)
end

local function not_used(name, problem)
  counters:incr("bad-files", 1)
  ngx.log(ngx.ERR, "gopub: ", name, " is not used: ", problem)
end

--- Takes up the keys in `keys` and the last known good tables in `path`; what cannot be used is left where it is,
-- logged and counted.
function _M.load(path, keys)
  directory = path
  traces.keep_in(path)
  identity.ensure()
  for _, key in ipairs({ "refused", "no-table", "no-peer", "too-large" }) do
    counters:safe_add(key, 0)
  end
  counters:set("bad-files", 0)
  signers.load_keys(keys or "/etc/nginx/gopub/keys") -- where nginx's own files are older, and name none
  if not store:get("names") then -- after a reload a worker may be in the middle of a put
    kept.sweep(path)
  end
  local names, problem = disk.list(path)
  if not names then
    not_used(path, problem)
  end
  for _, name in ipairs(names or {}) do
    local fine, why = load_file(name)
    if not fine then
      not_used(name, why)
    end
  end
end

--- Begins a worker. Workers are forks, so each needs a seed of its own for where its turns begin; and none may outlive
-- its master: it would keep the port, and serve by tables that nobody can change any more.
function _M.start()
  math.randomseed(ngx.worker.pid() + ngx.now() * 1000)
  process.end_with_parent()
  inflight.start()
  batch.start()
  farewell.start()
end

return _M
