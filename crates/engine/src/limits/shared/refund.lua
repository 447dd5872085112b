-- Gives back what a request was charged; what has expired meanwhile is not given twice. See `counts.lua`.
--
-- KEYS: one for each limit.
-- ARGV: the time (empty: this server's), then for each limit: kind, cost, when it was charged, and
--   windows: amount, length   buckets: rate, unit, capacity, window
local floor, max, call = math.floor, math.max, redis.call

local now = tonumber(ARGV[1])
if not now then
  local time = call('TIME')
  now = time[1] * 1000000 + time[2]
end

local function text(number)
  return string.format('%.0f', number)
end

local give = {}

local function keep(key, at, first, second)
  -- Less is kept than before, so it need not be kept longer.
  call('SET', key, text(at) .. ' ' .. text(first) .. ' ' .. text(second), 'KEEPTTL')
end

function give.f(key, cost, charged, at, current)
  if charged >= at then keep(key, at, max(current - cost, 0), 0) end
end

function give.q(key, cost, charged, at, used)
  if charged == at then keep(key, at, max(used - cost, 0), 0) end
end

function give.s(key, cost, charged, at, current, previous, _, length)
  local start = max(at, now - now % length)
  if start ~= at then
    current, previous = 0, start - at == length and current or 0
  end
  if charged >= start then
    current = max(current - cost, 0)
  elseif charged + length >= start then
    previous = max(previous - cost, 0)
  end
  keep(key, start, current, previous)
end

function give.t(key, cost, _, kept, value, _, rate, unit)
  local at = max(kept, now)
  keep(key, at, max(max(value - (at - kept) * rate, 0) - cost * unit, 0), 0)
end

give.k = give.t

local at = 2
for index, key in ipairs(KEYS) do
  local kind, cost, charged = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  if kind == 'l' then
    -- A count of nothing would mean all.
    if cost > 0 then call('LREM', key, -cost, text(charged)) end
  else
    local kept = call('GET', key)
    if kept then
      local a, b, c = string.match(kept, '^(%d+) (%d+) (%d+)$')
      local first, second = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
      give[kind](key, cost, charged, tonumber(a), tonumber(b), tonumber(c), first, second)
    end
  end
  at = at + 7
end
return 1
