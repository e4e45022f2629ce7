-- Parks a batch if the marker is the expected one.
-- ARGV: generation, prefix of streams, expected marker or '', next, now, entries and bytes a user, whether to sweep, how
-- many users, what each has in this batch (packed: entries, bytes, first and last offset), the collapse keys (number of the
-- entry in the batch, key, and so on, with spaces between), the users, then for each of their entries id, until, value; users
-- each once, offsets ascending.
-- Answers {'done', floor}, {'unexpected', marker or ''} or {'newer', ''}.

-- Users whose expired entries one sweep takes away. A batch brings about as many as go; a sweep that falls behind is followed
-- by the next.
local SWEPT_MAX = 256
-- Entries looked at, at once, at the front of a stream.
local FRONT_MAX = 64

local now, entries_max, bytes_max = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])

-- The collapse keys by the numbers of their entries; nearly always there are none.
local collapse = {}
for number, name in string.gmatch(ARGV[11], '(%d+) (%S+)') do
  collapse[tonumber(number)] = name
end

-- Whether one of so many entries has a collapse key.
local function has_collapse(first, count)
  if ARGV[11] ~= '' then
    for number = first, first + count - 1 do
      if collapse[number] then
        return true
      end
    end
  end
  return false
end

-- What an older log left behind can't be reached by any cursor.
local function forget_all()
  for _, user in ipairs(redis.call('HKEYS', users_key)) do
    redis.call('UNLINK', prefix .. user, keys_of(prefix .. user))
  end
  redis.call('DEL', users_key, floors_key)
end

local function add(key, s, offset, id, fields)
  redis.call('XADD', key, id, unpack(fields))
  if s.entries == 0 or offset < s.oldest then
    s.oldest = offset
  end
  if offset > s.newest then
    s.newest = offset
  end
  s.entries, s.bytes = s.entries + 1, s.bytes + #fields[4]
end

-- Of the new entries those that are not in the tail.
local function missing(tail, new)
  local known, fresh = {}, {}
  for _, entry in ipairs(tail) do
    known[offset_of(entry[1])] = true
  end
  for _, entry in ipairs(new) do
    if not known[entry.offset] then
      fresh[#fresh + 1] = entry
    end
  end
  return fresh
end

-- Parks entries of which some may be there already, or belong below the last one. A stream only grows at its end, so what
-- stands above the first that is missing is taken out and added again behind it.
local function merge(key, s, new)
  local tail = redis.call('XRANGE', key, new[1].id, '+')
  local fresh, taken = missing(tail, new), {}
  if #fresh == 0 then
    return
  end
  local first = fresh[1].offset
  for _, entry in ipairs(tail) do
    local offset, fields = offset_of(entry[1]), entry[2]
    if offset > first then
      taken[#taken + 1] = entry[1]
      fresh[#fresh + 1] = { offset = offset, id = entry[1], fields = fields }
      s.entries, s.bytes = s.entries - 1, s.bytes - #fields[4]
    end
  end
  if s.entries == 0 then
    redis.call('DEL', key)
  elseif #taken > 0 then
    each('XDEL', key, taken)
    redis.call('XSETID', key, id(first - 1))
  end
  table.sort(fresh, function(a, b) return a.offset < b.offset end)
  for _, entry in ipairs(fresh) do
    add(key, s, entry.offset, entry.id, entry.fields)
  end
end

-- Takes away what an entry of this collapse key replaces. Answers how many it stands for then, or nil when it is needless
-- itself, because a newer one is there, or it is.
local function replace(key, s, offset, id, name)
  local keys = keys_of(key)
  local last, count = redis.call('HGET', keys, name), 0
  local entry = last and redis.call('XRANGE', key, last, last)[1]
  if entry and tonumber(entry[2][2]) > now then
    local other = offset_of(last)
    if other >= offset then
      return nil
    end
    redis.call('XDEL', key, last)
    s.entries, s.bytes, count = s.entries - 1, s.bytes - #entry[2][4], tonumber(entry[2][8]) + 1
    if s.entries == 0 then
      redis.call('DEL', key)
    elseif s.oldest == other then
      s.oldest = offset_of(redis.call('XRANGE', key, '-', '+', 'COUNT', 1)[1][1])
    end
  end
  redis.call('HSET', keys, name, id)
  return count
end

-- Parks one user's entries, which start at an argument; `first` is the number of the first in the batch. What lies in a gap that
-- the quota made would go at once again.
local function park(key, s, at, first, count)
  local late
  for i = 0, count - 1 do
    local argument, name = at + 3 * i, collapse[first + i]
    local id = ARGV[argument]
    local offset = offset_of(id)
    local fields = { 'u', ARGV[argument + 1], 'v', ARGV[argument + 2] }
    if offset >= s.quota then
      local replaced = name and replace(key, s, offset, id, name)
      if replaced then
        fields = { 'u', fields[2], 'v', fields[4], 'c', name, 'r', text(replaced) }
      end
      local is_late = late or s.entries > 0 and offset <= s.newest
      if name and is_late and replaced then
        merge(key, s, { { offset = offset, id = id, fields = fields } }) -- what comes behind may replace it
      elseif is_late and not name then
        late = late or {}
        late[#late + 1] = { offset = offset, id = id, fields = fields }
      elseif not name or replaced then
        add(key, s, offset, id, fields)
      end
    end
  end
  if late then
    merge(key, s, late)
  end
end

local function within(s)
  return s.entries <= entries_max and s.bytes <= bytes_max
end

-- Takes the oldest away until the user is within the quota.
local function enforce(key, s)
  if within(s) then
    return
  end
  local count = math.min(FRONT_MAX, math.max(2, s.entries - entries_max + 1))
  shorten(key, s, count, function(offset, till)
    if within(s) then
      return false
    end
    local reason = till <= now and 'expired' or 'quota'
    s[reason] = offset + 1
    return true
  end)
end

-- Takes away what expired for the users whose entries are the oldest.
local function sweep()
  for _ = 1, SWEPT_MAX do
    local users = redis.call('ZRANGE', floors_key, 0, 0)
    local s = users[1] and read(users)[1]
    local before = s and s.entries
    if not s then
      return
    end
    shorten(prefix .. users[1], s, 2, function(offset, till)
      if till > now then
        return false
      end
      s.expired = math.max(s.expired, offset + 1)
      return true
    end)
    if s.entries == before then
      return
    end
    save(users, { s })
  end
end

local found, age = standing()
if age == 'newer' then
  return { 'newer', '' }
end
if found ~= ARGV[3] then
  return { 'unexpected', found }
end
if age == 'older' then
  forget_all()
end

local HEAD, HEAD_BYTES = '<I4I8I8I8', 28
local count, heads = tonumber(ARGV[9]), ARGV[10]
local known = packed(count, function(from, to) return unpack(ARGV, 11 + from, 11 + to) end)
local set, placed = {}, {}
local rest, summaries = {}, {}
local at, number = 12 + count, 1
for i = 1, count do
  local user = ARGV[11 + i]
  local key = prefix .. user
  local new, size, first, last = struct.unpack(HEAD, heads, (i - 1) * HEAD_BYTES + 1)
  local entries, bytes, oldest, newest, quota, expired = 0, 0, 0, 0, 0, 0
  if known[i] then
    entries, bytes, oldest, newest, quota, expired = struct.unpack(PACKED, known[i])
  end
  entries, bytes = entries + new, bytes + size
  if not has_collapse(number, new) and first >= quota and (entries == new or first > newest) and entries <= entries_max
    and bytes <= bytes_max then
    -- Behind all that is there, and within the quota, as summary.rs has it: nearly always so, hence without a table a user.
    for argument = at, at + 3 * new - 1, 3 do
      redis.call('XADD', key, ARGV[argument], 'u', ARGV[argument + 1], 'v', ARGV[argument + 2])
    end
    if entries == new then
      oldest = first
      placed[#placed + 1] = text(first)
      placed[#placed + 1] = user
    end
    set[#set + 1] = user
    set[#set + 1] = struct.pack(PACKED, entries, bytes, oldest, last, quota, expired)
  else
    local s = decode(known[i])
    park(key, s, at, number, new)
    enforce(key, s)
    rest[#rest + 1] = user
    summaries[#summaries + 1] = s
  end
  at, number = at + 3 * new, number + new
end
each('HSET', users_key, set)
each('ZADD', floors_key, placed)
save(rest, summaries)
if ARGV[8] == '1' then
  sweep()
end
redis.call('SET', marker_key, generation .. '.' .. ARGV[4])
return { 'done', floor() }
