-- The end of a step that was taken apart, as the sets are on several servers: KEYS the positions, ARGV the partition, where
-- the step began and where it ends, and whether the sets are whole then. Whoever finds that another was here meanwhile has
-- changed sets out of turn, and puts the position back to where the two met: what is read again from there in order makes
-- them right, and until then they are not whole.
-- Answers 'done', or 'elsewhere' and where the sets are.
local found = redis.call('HGET', KEYS[1], ARGV[1])
local position = found and string.match(found, '^%d+') or ''
local now = ' ' .. redis.call('TIME')[1]
if position == ARGV[2] then
    local whole = (ARGV[4] == 'whole' or found and string.find(found, 'whole')) and ' whole' or ''
    redis.call('HSET', KEYS[1], ARGV[1], ARGV[3] .. now .. whole)
    return {'done', ''}
end
if ARGV[2] == '' then
    redis.call('HDEL', KEYS[1], ARGV[1])
    return {'elsewhere', ''}
end
if position ~= '' and tonumber(position) > tonumber(ARGV[2]) then
    redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. now)
    return {'elsewhere', ARGV[2]}
end
return {'elsewhere', position}
