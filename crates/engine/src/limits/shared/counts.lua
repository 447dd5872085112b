-- The limits of one request, all checked before any is charged, as one step. The arithmetic is that of `algorithm.rs`, and a
-- test runs both over the same arrivals. Numbers are doubles here, exact up to 2^53; `wire.rs` keeps everything below that.
--
-- KEYS: one for each limit.
-- ARGV: the time (see `cells.lua`), then for each limit: kind, 1 if its refusal stops nothing, cost, and
--   windows (f, s, l): amount, length      buckets (t, k): rate, unit, capacity, window      quotas (q): amount, start, end
-- Returns 1 if the request may go, the time, and for each limit what was kept of it before: three numbers,
--   windows: start, count, count of the window before   buckets: time, level, 0   logs: newest, length, the time in the way
--   quotas: start, count, 0

-- part * whole / length, rounded down, where the product may be more than is exact: digit by digit, base 256.
local function scale(part, whole, length)
  if part * whole < 9007199254740992 then
    return floor(part * whole / length)
  end
  local result, rest, digit = 0, 0, 16777216
  while digit >= 1 do
    local sum = rest * 256 + floor(part / digit) % 256 * whole
    result, rest, digit = result * 256 + floor(sum / length), sum % length, digit / 256
  end
  return result
end

-- The gateways' clocks say in which period they are: one that is behind counts to the period that the first has begun.
local look = {}

function look.q(key, cost, amount, start, finish)
  local at, used = cell_of(key)
  if at < start then
    at, used = start, 0
  end
  -- Kept for an hour more: no clock is that wrong.
  local function charge() keep(key, finish - now + 3600000000, at, used + cost, 0) end
  return used + cost <= amount, charge, at, used, 0
end

-- Each looks at one limit. What lies more than a window ahead comes from a clock that was set back since, and is moved to now
-- with all that was used. They return whether it passes, what to do if the request goes, and what was kept before.
function look.f(key, cost, amount, length)
  local at, current, previous = cell_of(key)
  if at - now > length then
    at = now - now % length
    keep(key, length, at, current, previous)
  end
  local start, count = roll(at, current, previous, length)
  local function charge() keep(key, start + length - now, start, count + cost, 0) end
  return count + cost <= amount, charge, at, current, previous
end

function look.s(key, cost, amount, length)
  local at, current, previous = cell_of(key)
  if at - now > length then
    at = now - now % length
    keep(key, 2 * length, at, current, previous)
  end
  local start, count, before = roll(at, current, previous, length)
  local elapsed = min(max(now - start, 0), length - 1)
  local weight = before == 0 and 0 or scale(before, length - elapsed, length)
  local function charge() keep(key, start + 2 * length - now, start, count + cost, before) end
  return weight + count + cost <= amount, charge, at, current, previous
end

local function bucket(passes)
  return function(key, cost, rate, unit, capacity, window)
    local kept, value = cell_of(key)
    if kept - now > window then
      kept = now
      keep(key, value / rate, kept, value, 0)
    end
    local at = max(kept, now)
    local level = max(value - (at - kept) * rate, 0)
    local next = level + cost * unit
    local function charge() keep(key, next / rate + at - now, at, next, 0) end
    return passes(level, next, capacity), charge, kept, value, 0
  end
end

look.t = bucket(function(_, next, capacity) return next <= capacity end)
look.k = bucket(function(level, next, capacity) return level <= capacity and next <= 9007199254740992 end)

local function set_back(key, newest)
  local stamps = call('LRANGE', key, 0, -1)
  call('DEL', key)
  for _, stamp in ipairs(stamps) do
    call('RPUSH', key, text(max(tonumber(stamp) - (newest - now), 0)))
  end
end

function look.l(key, cost, amount, length)
  local newest = tonumber(call('LINDEX', key, -1) or 0)
  if newest - now > length then
    set_back(key, newest)
    newest = now
  end
  local at = max(now, newest)
  local first = 0
  while true do
    local stamps = call('LRANGE', key, first, first + 99)
    local gone = 0
    while gone < #stamps and stamps[gone + 1] + length <= at do gone = gone + 1 end
    first = first + gone
    if gone < 100 then break end
  end
  local count = call('LLEN', key) - first
  local over = count + cost - amount
  local blocking = over > 0 and cost <= amount and tonumber(call('LINDEX', key, first + over - 1)) or 0
  local function charge()
    if first > 0 then call('LTRIM', key, first, -1) end
    local stamp = text(at)
    for _ = 1, cost do call('RPUSH', key, stamp) end
    call('PEXPIRE', key, text(floor((at - now + length) / 1000) + 1000))
  end
  return over <= 0, charge, newest, count, blocking
end

local goes, out, charges = 1, {1, now}, {}
local at = 2
for index = 1, #KEYS do
  local kind, shadow, cost = ARGV[at], ARGV[at + 1] == '1', tonumber(ARGV[at + 2])
  local first, second, third, fourth =
    tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6])
  local passes, charge, a, b, c = look[kind](KEYS[index], cost, first, second, third, fourth)
  if passes and cost > 0 then
    charges[#charges + 1] = charge
  elseif not passes and not shadow then
    goes = 0
  end
  out[#out + 1], out[#out + 2], out[#out + 3] = a, b, c
  at = at + 7
end
out[1] = goes
if goes == 1 then
  for _, charge in ipairs(charges) do charge() end
end
return out
