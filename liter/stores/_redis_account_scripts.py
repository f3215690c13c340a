"""The accounts of ``RedisStore`` in Lua.

An account is two keys: a hash with ``spent``, ``reserved`` and the amount of each hold (empty once it has lapsed), and
a sorted set that tells when each hold runs out. Numbers of Lua are doubles, exact to 2**53 only, and so is what
``HINCRBY`` answers. So amounts stay text: Redis adds them, in 64 bits, and they are compared here in two halves.
"""

from ._account import LATE

_ACCOUNTS = f"""
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000

local function seconds(number)
    return string.format('%.17g', number)
end

local function negative(amount)
    return amount == '0' and '0' or '-' .. amount
end

local function lapse(account, leases)
    for _, name in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', seconds(now))) do
        local amount = redis.call('HGET', account, 'hold:' .. name)
        local since = tonumber(redis.call('ZSCORE', leases, name))
        if amount and amount ~= '' then
            redis.call('HINCRBY', account, 'reserved', negative(amount))
        end
        if amount == '' or since + {LATE!r} <= now then
            redis.call('HDEL', account, 'hold:' .. name)
            redis.call('ZREM', leases, name)
        else
            redis.call('HSET', account, 'hold:' .. name, '')
            redis.call('ZADD', leases, seconds(since + {LATE!r}), name)
        end
    end
end

local function balance(account)
    local found = redis.call('HMGET', account, 'spent', 'reserved')
    return found[1] or '0', found[2] or '0'
end

local function keep(account, leases, existed, ttl)
    local left = existed and redis.call('PTTL', account) or 0
    if left == -1 then
        return
    end
    for _, key in ipairs({{account, leases}}) do
        if ttl == 'inf' then
            redis.call('PERSIST', key)
        else
            local milliseconds = math.max(left, math.min(math.ceil(tonumber(ttl) * 1000), 9e15))
            redis.call('PEXPIRE', key, string.format('%.0f', milliseconds))
        end
    end
end
"""

# Keys: for each account its hash and its set. Arguments: name, lease; for each account limit, amount, ttl.
# Answers with the index of the account that has too little, or -1, and then what is spent and reserved on each.
RESERVE = f"""{_ACCOUNTS}
local function parts(amount)
    return tonumber(string.sub(amount, 1, -10)) or 0, tonumber(string.sub(amount, -9))
end

local function exceeds(amounts, limit)
    local high, low = 0, 0
    for _, amount in ipairs(amounts) do
        local more_high, more_low = parts(amount)
        high, low = high + more_high, low + more_low
    end
    high, low = high + math.floor(low / 1e9), low % 1e9
    local limit_high, limit_low = parts(limit)
    return high > limit_high or high == limit_high and low > limit_low
end

local answer = {{-1}}
for index = 1, #KEYS, 2 do
    local account, limit, amount = KEYS[index], ARGV[(3 * index + 3) / 2], ARGV[(3 * index + 5) / 2]
    lapse(account, KEYS[index + 1])
    local spent, reserved = balance(account)
    if answer[1] == -1 and exceeds({{spent, reserved, amount}}, limit) then
        answer[1] = (index - 1) / 2
    end
    table.insert(answer, spent)
    table.insert(answer, reserved)
end
if answer[1] ~= -1 then
    return answer
end
for index = 1, #KEYS, 2 do
    local account, leases = KEYS[index], KEYS[index + 1]
    local amount, ttl = ARGV[(3 * index + 5) / 2], ARGV[(3 * index + 7) / 2]
    local existed = redis.call('EXISTS', account) == 1
    redis.call('HINCRBY', account, 'reserved', amount)
    redis.call('HSET', account, 'hold:' .. ARGV[1], amount)
    redis.call('ZADD', leases, seconds(now + tonumber(ARGV[2])), ARGV[1])
    keep(account, leases, existed, ttl)
    answer[index + 2] = redis.call('HGET', account, 'reserved')
end
return answer
"""

# Arguments: name, amount. Answers with whether it was known, and then what is spent and reserved on each account.
SETTLE = f"""{_ACCOUNTS}
local answer = {{0}}
for index = 1, #KEYS, 2 do
    local account, leases = KEYS[index], KEYS[index + 1]
    lapse(account, leases)
    local amount = redis.call('HGET', account, 'hold:' .. ARGV[1])
    if amount then
        redis.call('HINCRBY', account, 'spent', ARGV[2])
        if amount ~= '' then
            redis.call('HINCRBY', account, 'reserved', negative(amount))
        end
        redis.call('HDEL', account, 'hold:' .. ARGV[1])
        redis.call('ZREM', leases, ARGV[1])
        answer[1] = 1
    end
    local spent, reserved = balance(account)
    table.insert(answer, spent)
    table.insert(answer, reserved)
end
return answer
"""

# Arguments: name, lease.
RENEW = f"""{_ACCOUNTS}
local held = 1
for index = 1, #KEYS, 2 do
    local account, leases = KEYS[index], KEYS[index + 1]
    lapse(account, leases)
    local amount = redis.call('HGET', account, 'hold:' .. ARGV[1])
    if amount and amount ~= '' then
        redis.call('ZADD', leases, seconds(now + tonumber(ARGV[2])), ARGV[1])
        keep(account, leases, true, seconds(tonumber(ARGV[2]) + {LATE!r}))
    else
        held = 0
    end
end
return held
"""

BALANCES = f"""{_ACCOUNTS}
local answer = {{}}
for index = 1, #KEYS, 2 do
    lapse(KEYS[index], KEYS[index + 1])
    local spent, reserved = balance(KEYS[index])
    table.insert(answer, spent)
    table.insert(answer, reserved)
end
return answer
"""

RESET = """
for index = 1, #KEYS, 2 do
    if redis.call('EXISTS', KEYS[index]) == 1 then
        redis.call('HSET', KEYS[index], 'spent', '0')
    end
end
return 1
"""
