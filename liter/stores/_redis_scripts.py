"""The steps of ``RedisStore`` in Lua: what ``_gcra`` does, on the server and by its clock.

Keys are those of the buckets; arguments are, for each, the seconds in which ``amount`` and ``capacity`` flow in.
Numbers are text in 17 digits, as Redis makes integers of Lua's. Redis 5 and later let a script that asks for
the time write afterwards; before that, replicas could not follow.
"""

from ._gcra import TOLERANCE

_BUCKETS = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000

local function full_at(key)
    return math.max(tonumber(redis.call('GET', key) or '0'), now)
end

local function keep(key, full_at)
    local left = math.min(math.ceil((full_at - now) * 1000), 9e15)
    if left < 1 then
        redis.call('DEL', key)
    else
        redis.call('SET', key, string.format('%.17g', full_at), 'PX', string.format('%.0f', left))
    end
end

local changed = {}
"""

TAKE = f"""{_BUCKETS}
local longest, scarcest = {TOLERANCE!r}, nil
for index, key in ipairs(KEYS) do
    local amount, capacity = tonumber(ARGV[2 * index - 1]), tonumber(ARGV[2 * index])
    local since = full_at(key)
    changed[key] = (changed[key] or since) + amount
    local wait = math.min(changed[key] - capacity, since) - now
    if wait > longest then
        longest, scarcest = wait, index - 1
    end
end
if scarcest then
    return {{string.format('%.17g', longest), scarcest}}
end
for key, full_at in pairs(changed) do
    keep(key, full_at)
end
return 1
"""

ADJUST = f"""{_BUCKETS}
for index, key in ipairs(KEYS) do
    changed[key] = math.max((changed[key] or full_at(key)) - tonumber(ARGV[2 * index - 1]), now)
end
for key, full_at in pairs(changed) do
    keep(key, full_at)
end
return 1
"""

# Arguments: whether a value is expected, which, whether one is to be kept, which, for how many milliseconds.
SWAP = """
local kept = redis.call('GET', KEYS[1])
if ARGV[1] == '0' and kept or ARGV[1] == '1' and kept ~= ARGV[2] then
    return 0
end
if ARGV[3] == '0' then
    redis.call('DEL', KEYS[1])
else
    redis.call('SET', KEYS[1], ARGV[4], 'PX', ARGV[5])
end
return 1
"""
