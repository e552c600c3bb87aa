#!lua name=flamegate_1
-- The books of fleet limits, one key each; the rule is that of control-plane/src/domain/lending/book.rs, step by step. All numbers are whole
-- and below 2^53. Another form of the value, or another rule, is a library of another name: two versions of the control plane may share
-- an engine for a while.

local LEASE = 1000000

-- The engine's clock in microseconds.
local function clock()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function div(a, b)
  return (a - a % b) / b
end

local function numbers(texts)
  local found = {}
  for i, text in ipairs(texts) do found[i] = tonumber(text) end
  return found
end

-- The state of one limit: the time when it is empty, tokens out in this generation and the one before, the generation, the time of the last
-- step; T, burst and the revision of both.
local function load(key)
  local text = redis.call('GET', key)
  if not text then return nil end
  local found = {}
  for number in string.gmatch(text, '%d+') do found[#found + 1] = tonumber(number) end
  return {tat = found[1], lent_now = found[2], lent_before = found[3], generation = found[4], last = found[5],
          emission = found[6], burst = found[7], revision = found[8]}
end

local function store(key, book)
  local text = string.format('%.0f %.0f %.0f %.0f %.0f %.0f %.0f %.0f', book.tat, book.lent_now, book.lent_before, book.generation,
                             book.last, book.emission, book.burst, book.revision)
  -- It covers all that is owed, and what is out, which counts once more when its generation ends.
  local rests = math.max(book.tat, (book.generation + 1) * LEASE + (book.lent_now + book.lent_before) * book.emission,
                         (book.generation + 2) * LEASE + book.lent_now * book.emission)
  redis.call('SET', key, text, 'PX', div(rests - book.last, 1000) + 1000)
end

local function clamp(book, at)
  book.tat = math.max(book.tat, at + (book.lent_now + book.lent_before) * book.emission)
end

local function rotate(book, now)
  local target = div(now, LEASE)
  for _ = 1, 2 do
    if book.generation >= target then return end
    book.generation = book.generation + 1
    clamp(book, book.generation * LEASE)
    book.lent_before, book.lent_now = book.lent_now, 0
  end
  if book.generation < target then book.generation = target end
end

local function renumber(book, now, emission, burst, revision)
  if revision <= book.revision then return end
  if (book.emission ~= emission or book.burst ~= burst) and book.tat > now then
    local used = div(book.tat - now + book.emission - 1, book.emission)
    book.tat = now + math.min(used, burst) * emission
  end
  book.emission, book.burst, book.revision = emission, burst, revision
end

local function settle(book, generation, spent, returned)
  local name
  if generation == book.generation then name = 'lent_now'
  elseif generation + 1 == book.generation then name = 'lent_before'
  else return end
  book[name] = book[name] - math.min(spent, book[name])
  returned = math.min(returned, book[name])
  book[name] = book[name] - returned
  book.tat = math.max(0, book.tat - returned * book.emission)
end

local function debit(book, now, alone)
  -- More than a bucket changes nothing, and would be no whole number any more.
  local debited = math.max(book.tat, now) + math.min(alone, book.burst) * book.emission
  book.tat = math.max(book.tat, math.min(debited, now + book.burst * book.emission))
end

local function lend(book, now, want)
  book.tat = math.max(book.tat, now)
  local full = book.burst * book.emission
  local room = math.max(0, now + full - book.tat)
  local most = div(room, book.emission)
  local tokens = math.min(want, most)
  book.tat = book.tat + tokens * book.emission
  book.lent_now = book.lent_now + tokens
  local wait = 0
  if want > 0 and tokens == 0 then wait = math.max(0, book.tat + book.emission - now - full) end
  return {now, tokens, book.generation, most - tokens, book.lent_now + book.lent_before, wait}
end

-- T, burst, revision; when the history opened, whether the limit is younger than that; wanted, generation (-1: of no history that is ours),
-- spent, returned, admitted alone. Before the history has opened nothing is done, and the answer is its time and -1.
local function step(keys, args, writes)
  local emission, burst, revision, opens, young, want, generation, spent, returned, alone = unpack(numbers(args))
  local now = clock()
  if now < opens then return {now, -1, 0, 0, 0, 0} end
  local book = load(keys[1]) or {tat = 0, lent_now = 0, lent_before = 0, generation = div(now, LEASE), last = now,
                                  emission = emission, burst = burst, revision = revision}
  now = math.max(now, book.last)
  book.last = now
  rotate(book, now)
  renumber(book, now, emission, burst, revision)
  clamp(book, now)
  if young == 0 then book.tat = math.max(book.tat, opens + book.burst * book.emission) end
  settle(book, generation, spent, returned)
  debit(book, now, alone)
  local lent = lend(book, now, want)
  if writes then store(keys[1], book) end
  return lent
end

-- Which history goes on: the engine's own name for it, how long nothing is lent when it is a new one, and when the present one opened as far as
-- the caller knows, if it says that this is over (else 0); the newest rows of keys and of workspaces, for a history that begins. The answer is
-- when it opens, the time, and the rows when it began.
local function begin(keys, args)
  local name, pause, over = args[1], tonumber(args[2]), tonumber(args[3])
  local now = clock()
  local text = redis.call('GET', keys[1])
  if text then
    local known, opens, keys_then, workspaces_then = string.match(text, '^(%S+) (%d+) (%d+) (%d+)$')
    opens = tonumber(opens)
    if known == name and opens ~= over then return {opens, now, keys_then, workspaces_then} end
  end
  local opens = now + pause
  redis.call('SET', keys[1], string.format('%s %.0f %s %s', name, opens, args[4], args[5]))
  return {opens, now, args[4], args[5]}
end

redis.register_function('flamegate_1_step', function(keys, args) return step(keys, args, true) end)
redis.register_function{function_name = 'flamegate_1_look', flags = {'no-writes'},
                        callback = function(keys, args) return step(keys, args, false) end}
redis.register_function('flamegate_1_begin', begin)
