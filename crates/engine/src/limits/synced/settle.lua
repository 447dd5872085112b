-- Adds what one gateway was charged since it last settled, and tells what all were charged. See `cells.lua` and `pending.rs`.
--
-- KEYS: where this gateway's last batch is remembered, then one for each count.
-- ARGV: the time, the number of the batch, then for each count: kind, and four numbers,
--   windows (f, s): charged in this window, in the one before, length, 0   quotas (q): charged, start, end, 0
--   buckets (b): the level that was added, how long ago the first of it was, rate, window
-- Returns the time, and what is kept of each count: start, count, count of the window before, or time, level, 0.
--
-- A batch whose answer was lost comes again with the same number, and is not added again. What is charged may go beyond a
-- limit: gateways learn of each other late, and what was too much is missing from what comes after.
local MOST = 4503599627370496

local add = {}

local function window(windows_kept, with_previous)
  return function(key, new, new_before, length)
    local at, current, previous = cell_of(key)
    if at - now > length then
      at = now - now % length
    end
    local start, count, before = roll(at, current, previous, length)
    count = min(max(count + new, 0), MOST)
    before = with_previous and min(max(before + new_before, 0), MOST) or 0
    return start, count, before, start + windows_kept * length - now
  end
end

add.f = window(1, false)
add.s = window(2, true)

function add.b(key, new, ago, rate, length)
  local kept, level = cell_of(key)
  if kept - now > length then
    kept = now
  end
  -- From the first charge on it has been running out. Counting all from there gives away at most what runs out in one batch.
  local at = max(kept, now - ago)
  level = min(max(max(level - (at - kept) * rate, 0) + new, 0), MOST)
  local last = max(at, now)
  level = max(level - (last - at) * rate, 0)
  return last, level, 0, level / rate + last - now
end

function add.q(key, new, start, finish)
  local at, used = cell_of(key)
  if at < start then
    at, used = start, 0
  end
  if at == start then
    used = min(max(used + new, 0), MOST)
  end
  return at, used, 0, finish - now + 3600000000
end

local fresh = call('GET', KEYS[1]) ~= ARGV[2]
if fresh then
  call('SET', KEYS[1], ARGV[2], 'PX', 600000)
end
local out = {now}
local at = 3
for index = 2, #KEYS do
  local kind, key = ARGV[at], KEYS[index]
  local one, two, three, four =
    tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  local begun, first, second, micros
  if fresh then
    begun, first, second, micros = add[kind](key, one, two, three, four)
    keep(key, micros, begun, first, second)
  else
    begun, first, second = cell_of(key)
  end
  out[#out + 1], out[#out + 2], out[#out + 3] = begun, first, second
  at = at + 5
end
return out
