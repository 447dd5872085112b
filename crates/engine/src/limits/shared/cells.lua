-- What is kept of a key, and the time: `time first second`, or `start count count` of a window and the one before. Goes before
-- the scripts that need it.
--
-- ARGV[1]: the time in microseconds; empty: this server's.
local floor, max, min, call = math.floor, math.max, math.min, redis.call

local now = tonumber(ARGV[1])
if not now then
  local time = call('TIME')
  now = time[1] * 1000000 + time[2]
end

local function text(number)
  return string.format('%.0f', number)
end

local function cell_of(key)
  local kept = call('GET', key)
  if not kept then
    return 0, 0, 0
  end
  local at, first, second = string.match(kept, '^(%d+) (%d+) (%d+)$')
  return tonumber(at), tonumber(first), tonumber(second)
end

local function keep(key, micros, at, first, second)
  call('SET', key, text(at) .. ' ' .. text(first) .. ' ' .. text(second), 'PX', text(max(floor(micros / 1000), 0) + 1000))
end

local function roll(at, current, previous, length)
  local start = max(at, now - now % length)
  if start == at then
    return start, current, previous
  end
  return start, 0, start - at == length and current or 0
end
