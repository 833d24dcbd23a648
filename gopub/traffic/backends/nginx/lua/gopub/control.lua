-- The control socket: PUT and GET /v1/tables/<upstream>, GET /v1/counters/<upstream>, GET /v1/status, PUT /v1/source,
-- POST /v1/farewell. Every answer is JSON. A table's signature comes and goes as the header X-Gopub-Signature.

local cjson = require("cjson").new()
local counts = require "gopub.counts"
local farewell = require "gopub.farewell"
local identity = require "gopub.identity"
local inflight = require "gopub.inflight"
local series = require "gopub.series"
local shapes = require "gopub.shapes"
local signature = require "gopub.signature"
local signers = require "gopub.signers"
local source = require "gopub.source"
local tables = require "gopub.tables"
local traces = require "gopub.traces"

local _M = {}

-- Written by hand, for cjson keeps no order of keys: the same order gets the same answer, but for the time.
local function standing(doc)
  return ('"app":%s,"env":%s,"upstream":%s,"revision":%.0f,"epoch":%.0f,"token":%s,"n":%.0f'):format(
    cjson.encode(doc.app), cjson.encode(doc.env), cjson.encode(doc.upstream), doc.revision, doc.epoch,
    cjson.encode(doc.token), doc.n)
end

-- Who this edge is, as its metrics say it, and what its clock says: the canary's term ends by it, so the driver has to
-- know how far it is from its own.
local function own()
  ngx.update_time() -- nginx keeps a time for as long as it works on one round of events
  return ('"edge":"%s","now":%.3f'):format(identity.read(), ngx.now())
end

local function answer(status, text)
  ngx.status = status
  ngx.header.content_type = "application/json"
  ngx.say(text)
end

local function complain(status, code, reason, held)
  local held_text = held and "{" .. standing(held) .. "}" or "null"
  answer(status, ('{"code":"%s","error":%s,"holds":%s}'):format(code, cjson.encode(reason), held_text))
end

local function body()
  ngx.req.read_body()
  local text = ngx.req.get_body_data()
  local path = not text and ngx.req.get_body_file()
  if path then
    local file = assert(io.open(path, "rb"))
    text = file:read("*a")
    file:close()
  end
  return text or ""
end

-- Whose the table in force is, and since when; `null` where it is unsigned.
local function signed(upstream)
  local signer = signers.of(upstream)
  local key = signer.key and '"' .. signer.key .. '"' or "null"
  return ('"signature":{"key":%s,"believed":%s,"since":%.3f}'):format(key, tostring(signer.believed), signer.since or 0)
end

local function refused(upstream)
  local found = signers.refused(upstream)
  if not found then
    return '"refused":null'
  end
  return ('"refused":{"upstream":%s,"at":%.3f,"code":%s,"reason":%s}'):format(cjson.encode(found.upstream), found.at,
    cjson.encode(found.code), cjson.encode(found.reason))
end

local function put(upstream)
  local given = ngx.req.get_headers(0)["x-gopub-signature"] -- 0: however many there are
  local result = tables.put(upstream, body(), given)
  if result.status == 200 then
    traces.note(upstream, ngx.req.get_headers(0)["traceparent"])
    answer(200, "{" .. standing(result.doc) .. "," .. signed(upstream) .. "," .. own() .. "}")
  else
    complain(result.status, result.code, result.reason, result.held)
  end
end

local function get(upstream)
  local text, revision = tables.text(upstream)
  if text then
    ngx.header.content_type = "application/json"
    ngx.header["X-Gopub-Signature"] = signers.signature(upstream, revision)
    ngx.print(text) -- byte for byte, for these are what is signed
  else
    complain(404, "GP503", "no table for that upstream")
  end
end

local function numbers(hosts)
  local parts = {}
  for host, count in pairs(hosts) do
    parts[#parts + 1] = ("%s:%d"):format(cjson.encode(host), count)
  end
  table.sort(parts)
  return "{" .. table.concat(parts, ",") .. "}"
end

-- Whose signatures count here, and which key files cannot be used; with neither, nothing needs one.
local function keys()
  local believed, broken = signature.keys()
  local files = {}
  for file, why in pairs(broken) do
    files[#files + 1] = cjson.encode(file) .. ":" .. cjson.encode(why)
  end
  table.sort(files)
  local quoted = #believed > 0 and '"' .. table.concat(believed, '","') .. '"' or ""
  return ('"keys":{"believed":[%s],"broken":{%s}}'):format(quoted, table.concat(files, ","))
end

-- Of one upstream where the question names it (`?upstream=`): the tables of hundreds are megabytes.
local function status()
  local held, by_address = inflight.read()
  local parts, only = {}, ngx.var.arg_upstream
  for _, upstream in ipairs(tables.names()) do
    local text = (not only or only == upstream) and tables.text(upstream)
    if text then
      local hosts = numbers(series.with_zeros(upstream, held[upstream]))
      parts[#parts + 1] = ('%s:{"table":%s,"inflight":%s,"addresses":%s,"trace":%s,%s,%s}'):format(
        cjson.encode(upstream), text, hosts, numbers(by_address[upstream] or {}),
        cjson.encode(traces.of(upstream) or cjson.null), signed(upstream), refused(upstream))
    end
  end
  local upstreams = table.concat(parts, ",")
  answer(200, ('{"schema":"gopub/edge-status/v1","tables":%d,%s,%s,%s,"source":%s,"upstreams":{%s}}'):format(
    shapes.VERSION, own(), keys(), refused(""), source.text(), upstreams))
end

-- What the watcher of a source tells; see source.lua.
local function told()
  local fine, reason = source.keep(body())
  if fine then
    answer(200, "{" .. own() .. "}")
  else
    complain(422, "GP501", reason or "it cannot be kept")
  end
end

-- `since` is when the counters began: with it a restarted edge is told from another one.
local function count(upstream)
  local since = identity.since()
  local began = since and ("%.3f"):format(since) or "null"
  local said = counts.of(upstream, ngx.var.arg_releases)
  answer(200, ('{"schema":"gopub/edge-counters/v1",%s,"since":%s,%s}'):format(own(), began, said))
end

--- Answers one request on the control socket.
function _M.handle()
  local method, uri = ngx.req.get_method(), ngx.var.uri
  local counted = uri:match("^/v1/counters/([a-z0-9._-]+)$")
  local upstream = uri:match("^/v1/tables/([a-z0-9._-]+)$")
  if upstream and method == "PUT" then
    put(upstream)
  elseif upstream and method == "GET" then
    get(upstream)
  elseif counted and method == "GET" then
    count(counted)
  elseif uri == "/v1/status" and method == "GET" then
    status()
  elseif uri == "/v1/source" and method == "PUT" then
    told()
  elseif uri == "/v1/farewell" and method == "POST" then
    answer(farewell.say() and 200 or 500, "{" .. own() .. "}")
  else
    complain(404, "GP503", "there is no " .. method .. " " .. uri)
  end
end

return _M
