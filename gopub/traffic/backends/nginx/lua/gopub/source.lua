-- What the watcher of a source of tables tells of it: PUT /v1/source. Its words are shown, and decide nothing.
--   source/told      the last report, as a JSON object
--   source/at        when it came
--   source/refused   values of the source that were not taken, since the counters began

local cjson = require("cjson").new()

local counters = ngx.shared.gopub_counters

local _M = {}

local KINDS = { etcd = true, consul = true, file = true }

local function is_time(value)
  return type(value) == "number" and value >= 0 and value < 1e12
end

local function problem(report)
  if type(report) ~= "table" or not KINDS[report.kind] or type(report.up) ~= "boolean" then
    return "kind is not etcd, consul or file, or up is not true or false"
  elseif type(report.what) ~= "string" or #report.what > 400 then
    return "what is not a string of at most 400 characters"
  end
  for _, key in ipairs({ "since", "last", "refused", "within" }) do
    if not is_time(report[key]) then
      return key .. " is not a number"
    end
  end
  return nil
end

--- Keeps a report; nil and the reason when it is none.
function _M.keep(text)
  local fine, report = pcall(cjson.decode, text)
  local reason = not fine and "it is not JSON" or problem(report)
  if reason then
    return nil, reason
  end
  counters:incr("source/refused", math.floor(report.refused), 0)
  ngx.update_time()
  counters:set("source/at", ngx.now())
  return counters:safe_set("source/told", cjson.encode({ kind = report.kind, up = report.up, since = report.since,
    last = report.last, within = report.within, what = report.what }))
end

--- {kind, up, since, last, refused, what}, or nil where nobody told. It is not up either when the watcher is silent for
-- longer than it said.
function _M.read()
  local text, at = counters:get("source/told"), counters:get("source/at")
  if not text or not at then
    return nil
  end
  local report = cjson.decode(text)
  if ngx.now() > at + report.within then
    report.up, report.since = false, at + report.within
    report.what = "its watcher on the edge says nothing any more"
  end
  report.refused = counters:get("source/refused") or 0
  return report
end

--- The same for the status; "null" where nobody told.
function _M.text()
  local report = _M.read()
  if not report then
    return "null"
  end
  return ('{"kind":"%s","up":%s,"since":%.3f,"last":%.3f,"refused":%.0f,"what":%s}'):format(report.kind,
    tostring(report.up), report.since, report.last, report.refused, cjson.encode(report.what))
end

return _M
