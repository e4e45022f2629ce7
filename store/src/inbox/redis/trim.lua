-- Takes away what lies below a position, and forgets it.
-- ARGV: generation, prefix of streams, then for each user: user, position; each user once.
-- Answers the floor, or '' when there is none.

-- Entries looked at, at once: what one acknowledgement covers.
local COUNT = 64

local found, age = standing()
if age then
  return ''
end
local users, positions = {}, {}
for at = 3, #ARGV, 2 do
  users[#users + 1], positions[#positions + 1] = ARGV[at], tonumber(ARGV[at + 1])
end
local summaries = read(users)
for i, user in ipairs(users) do
  local s, below, key = summaries[i], positions[i], prefix .. user
  s.quota = s.quota > below and s.quota or 0
  s.expired = s.expired > below and s.expired or 0
  if s.entries > 0 and s.newest < below then
    clear(key, s)
  elseif s.entries > 0 and s.oldest < below then
    shorten(key, s, COUNT, function(offset) return offset < below end)
  end
end
save(users, summaries)
return floor()
