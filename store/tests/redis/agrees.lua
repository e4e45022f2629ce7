-- Answers in what the summaries, floors and collapse keys of a partition differ from its streams; '' is what they should.
-- KEYS: summaries, floors. ARGV: prefix of streams.

local faults, having = {}, 0

local function check(user, what, found, expected)
  if tostring(found) ~= tostring(expected) then
    faults[#faults + 1] = string.format('%s of user %s: %s, not %s', what, user, tostring(found), tostring(expected))
  end
end

local function offset(entry)
  return tonumber(string.match(entry[1], '-(%d+)$'))
end

-- Each collapse key leads to the last entry that has it.
local function check_collapse(user, stream)
  local last, count = {}, 0
  for _, entry in ipairs(stream) do
    local name = entry[2][6]
    if name then
      count = count + (last[name] and 0 or 1)
      last[name] = entry[1]
    end
  end
  local keys = ARGV[1] .. user .. ':keys'
  check(user, 'collapse keys', redis.call('HLEN', keys), count)
  for name, id in pairs(last) do
    check(user, 'collapse key ' .. name, redis.call('HGET', keys, name), id)
  end
end

local all = redis.call('HGETALL', KEYS[1])
for at = 1, #all, 2 do
  local user = all[at]
  local entries, bytes, oldest, newest = struct.unpack('<I4I8I8I8', all[at + 1])
  local stream, size = redis.call('XRANGE', ARGV[1] .. user, '-', '+'), 0
  for _, entry in ipairs(stream) do
    size = size + #entry[2][4]
  end
  check(user, 'entries', entries, #stream)
  check(user, 'bytes', bytes, size)
  if #stream > 0 then
    having = having + 1
    check(user, 'oldest', oldest, offset(stream[1]))
    check(user, 'newest', newest, offset(stream[#stream]))
  end
  check_collapse(user, stream)
  check(user, 'floor', redis.call('ZSCORE', KEYS[2], user), #stream > 0 and oldest)
end
check('any', 'floors', redis.call('ZCARD', KEYS[2]), having)
local streams = 0
for _, key in ipairs(redis.call('KEYS', ARGV[1] .. '*')) do
  streams = streams + (string.match(key, ':keys$') and 0 or 1)
end
check('any', 'streams', streams, having)
return table.concat(faults, '; ')
