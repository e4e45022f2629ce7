-- Answers in what the summaries and floors of a partition differ from its streams; '' is what they should.
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
  check(user, 'floor', redis.call('ZSCORE', KEYS[2], user), #stream > 0 and oldest)
end
check('any', 'floors', redis.call('ZCARD', KEYS[2]), having)
check('any', 'streams', #redis.call('KEYS', ARGV[1] .. '*'), having)
return table.concat(faults, '; ')
