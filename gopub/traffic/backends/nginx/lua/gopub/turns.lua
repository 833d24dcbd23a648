-- Whose turn it is among the peers of a track.

local decide = require "gopub.decide"

local _M = {}

-- Stable peers that failed a moment ago, with the time until which this worker lets them rest while others are there
-- (nginx's own max_fails=1 fail_timeout=10s). A canary never rests: each of its failures is evidence.
local resting = {}
local rest_ends = 0 -- when the last of them does
local REST = 10

--- Lets a peer rest.
function _M.rest(peer)
  rest_ends = ngx.now() + REST
  resting[peer.inflight] = rest_ends
end

local function step(track)
  local at = track.last % track.count + 1
  track.last = at
  return track.peers[at]
end

local function any_turn(track)
  local peer = step(track)
  local now = ngx.now()
  if now >= rest_ends or track.name == "canary" then
    return peer
  end
  for _ = 1, track.count do
    local until_then = resting[peer.inflight]
    if not until_then or until_then <= now or until_then > now + REST then -- the clock was set back
      resting[peer.inflight] = nil
      return peer
    end
    peer = step(track)
  end
  return peer -- all of them rest: none does
end

--- The peer whose turn it is. One that warms up lets others have a part of its turns, less and less; where all of them
-- do, the last is taken.
function _M.take(track)
  local peer = any_turn(track)
  local now = ngx.now()
  if now >= track.warm_at then
    return peer
  end
  for _ = 2, track.count do
    if not peer.since or math.random() < decide.share(track.warmup, peer.since, now) then
      return peer
    end
    peer = any_turn(track)
  end
  return peer
end

return _M
