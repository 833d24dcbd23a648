-- Connections end before nginx is reloaded: a worker that ends closes those that are kept, and what a client sends over
-- one at that moment is lost (before nginx 1.27.4, and for clients that do not try again). So for a moment before it
-- each answer says that its connection ends.

local region = require "gopub.region"

local _M = {}

local LONG = 10 -- seconds; a worker that was started meanwhile keeps its connections

local over = 0 -- what was said before this worker began

--- Has the workers that there are end each connection with its next answer.
function _M.say()
  ngx.update_time()
  return region.say_farewell(ngx.now() + LONG)
end

--- Begins a worker.
function _M.start()
  over = region.farewell()
end

--- Whether the answer at hand is to end its connection. HTTP/2 has a frame of its own for it, which nginx sends.
function _M.is_on()
  local moment, now = region.farewell(), ngx.now()
  local close = now < moment and moment <= now + LONG -- a moment farther away: the clock was set back
  return close and moment ~= over and ngx.req.http_version() < 2
end

return _M
