-- A step along a table's changes: KEYS the positions, then the sets that change. ARGV the partition, where the step begins
-- and ends, whether the sets are whole then, how many users each set gains and loses, and then all of them in that order.
-- Answers 'done', or 'elsewhere' and where the sets are.
local found = redis.call('HGET', KEYS[1], ARGV[1])
local position = found and string.match(found, '^%d+') or ''
if position ~= ARGV[2] then return {'elsewhere', position} end
local sets, next = #KEYS - 1, 5 + 2 * (#KEYS - 1)
for set = 1, sets do
    local counts = 5 + 2 * (set - 1)
    for command = 0, 1 do
        local count = tonumber(ARGV[counts + command])
        if count > 0 then
            redis.call(command == 0 and 'SADD' or 'SREM', KEYS[1 + set], unpack(ARGV, next, next + count - 1))
            next = next + count
        end
    end
end
local whole = (ARGV[4] == 'whole' or found and string.find(found, 'whole')) and ' whole' or ''
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3] .. ' ' .. redis.call('TIME')[1] .. whole)
return {'done', ''}
