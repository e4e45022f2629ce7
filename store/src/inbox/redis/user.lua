-- One user's part of an inbox: a summary in the partition's hash, a stream of entries, a place among the floors, and a hash
-- of where the last entry of each collapse key stands. An entry is 'u', until, 'v', value, and 'c', its key, 'r', how many it
-- replaced, where it has a key.
-- Shared by park.lua and trim.lua. Numbers are exact below 2^53, which offsets and users are.

-- Commands and arguments at once: Lua's stack takes 8,000.
local CHUNK = 4000

local marker_key, users_key, floors_key = KEYS[1], KEYS[2], KEYS[3]
local generation, prefix = ARGV[1], ARGV[2]

local function text(number)
  return string.format('%d', number)
end

local function id(offset)
  return generation .. '-' .. text(offset)
end

-- A summary: entries and bytes kept, first and last offset, and up to where the quota and the expiry took something away.
-- Packed, as printing and reading six numbers for every user would be a good part of all the work.
local PACKED = '<I4I8I8I8I8I8'

local function decode(summary)
  if not summary then
    return { entries = 0, bytes = 0, oldest = 0, newest = 0, quota = 0, expired = 0 }
  end
  local entries, bytes, oldest, newest, quota, expired = struct.unpack(PACKED, summary)
  local floor = entries > 0 and oldest or nil
  return {
    entries = entries, bytes = bytes, oldest = oldest, newest = newest, quota = quota, expired = expired, floor = floor,
  }
end

local function encode(s)
  return struct.pack(PACKED, s.entries, s.bytes, s.oldest, s.newest, s.quota, s.expired)
end

-- The packed summaries of so many users, in their order; `users(from, to)` gives some of them.
local function packed(count, users)
  if count > 0 and count <= CHUNK then
    return redis.call('HMGET', users_key, users(1, count))
  end
  local found = {}
  for from = 1, count, CHUNK do
    for _, summary in ipairs(redis.call('HMGET', users_key, users(from, math.min(from + CHUNK - 1, count)))) do
      found[#found + 1] = summary
    end
  end
  return found
end

-- The summaries of users, in their order.
local function read(users)
  local summaries = {}
  for i, summary in ipairs(packed(#users, function(from, to) return unpack(users, from, to) end)) do
    summaries[i] = decode(summary)
  end
  return summaries
end

-- Runs a command on many arguments.
local function each(command, key, arguments)
  for from = 1, #arguments, CHUNK do
    redis.call(command, key, unpack(arguments, from, math.min(from + CHUNK - 1, #arguments)))
  end
end

-- Writes summaries, and the users' places among the floors where they changed.
local function save(users, summaries)
  local set, gone, placed, left = {}, {}, {}, {}
  for i, user in ipairs(users) do
    local s = summaries[i]
    local floor = s.entries > 0 and s.oldest or nil
    if s.entries > 0 or s.quota > 0 or s.expired > 0 then
      set[#set + 1] = user
      set[#set + 1] = encode(s)
    else
      gone[#gone + 1] = user
    end
    if floor ~= s.floor then
      if floor then
        placed[#placed + 1] = text(floor)
        placed[#placed + 1] = user
      else
        left[#left + 1] = user
      end
    end
  end
  each('HSET', users_key, set)
  each('HDEL', users_key, gone)
  each('ZADD', floors_key, placed)
  each('ZREM', floors_key, left)
end

local function offset_of(id)
  return tonumber(string.match(id, '-(%d+)$'))
end

local function keys_of(key)
  return key .. ':keys'
end

local function clear(key, s)
  redis.call('DEL', key, keys_of(key))
  s.entries, s.bytes, s.oldest, s.newest = 0, 0, 0, 0
end

-- An entry goes: its collapse key leads to it no more.
local function forget_collapse(key, entry)
  local name = entry[2][6]
  if name and redis.call('HGET', keys_of(key), name) == entry[1] then
    redis.call('HDEL', keys_of(key), name)
  end
end

-- Takes entries away from the front for as long as `goes(offset, till)`, looking at so many at once.
local function shorten(key, s, count, goes)
  while s.entries > 0 do
    local chunk = redis.call('XRANGE', key, id(0), '+', 'COUNT', count)
    local last
    for _, entry in ipairs(chunk) do
      local offset = offset_of(entry[1])
      if not goes(offset, tonumber(entry[2][2])) then
        if last then
          redis.call('XTRIM', key, 'MINID', entry[1])
        end
        s.oldest = offset
        return
      end
      forget_collapse(key, entry)
      s.entries, s.bytes, last = s.entries - 1, s.bytes - #entry[2][4], offset
    end
    if not last then -- fewer than counted: somebody else took them away
      s.entries = 0
    elseif s.entries > 0 then
      redis.call('XTRIM', key, 'MINID', id(last + 1))
    end
  end
  clear(key, s)
end

-- The marker as number of this generation, and whether what is stored belongs to an older or a newer one.
local function standing()
  local of, number = string.match(redis.call('GET', marker_key) or '', '^(%d+)%.(%d+)$')
  if not of or of == generation then
    return number or '', nil
  end
  return '', tonumber(of) > tonumber(generation) and 'newer' or 'older'
end

local function floor()
  return redis.call('ZRANGE', floors_key, 0, 0, 'WITHSCORES')[2] or ''
end
