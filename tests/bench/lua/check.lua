-- What Flamegate does, as a script for Envoy's Lua filter: bearer token, SHA-256 (FIPS 180-4), table, token bucket.
-- The bench puts `local safe = ...` (whether it passes on who is calling, and not the key) and `local records = {...}` before it. The bucket is per worker: scripts of different workers share nothing.

local bit = require("bit")
local band, bnot, bxor, ror, rsh, tobit = bit.band, bit.bnot, bit.bxor, bit.ror, bit.rshift, bit.tobit
local tohex, byte, char, rep = bit.tohex, string.byte, string.char, string.rep

local K = {
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
}
local w = {}

local function sha256(message)
  local length = #message
  local padded = message .. "\128" .. rep("\0", (55 - length) % 64) .. "\0\0\0\0"
    .. char(band(rsh(length * 8, 24), 255), band(rsh(length * 8, 16), 255), band(rsh(length * 8, 8), 255), band(length * 8, 255))
  local h0, h1, h2, h3 = 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a
  local h4, h5, h6, h7 = 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19
  for start = 1, #padded, 64 do
    for i = 1, 16 do
      local a, b, c, d = byte(padded, start + i * 4 - 4, start + i * 4 - 1)
      w[i] = tobit(a * 16777216 + b * 65536 + c * 256 + d)
    end
    for i = 17, 64 do
      local x, y = w[i - 15], w[i - 2]
      local s0 = bxor(ror(x, 7), ror(x, 18), rsh(x, 3))
      local s1 = bxor(ror(y, 17), ror(y, 19), rsh(y, 10))
      w[i] = tobit(w[i - 16] + s0 + w[i - 7] + s1)
    end
    local a, b, c, d, e, f, g, h = h0, h1, h2, h3, h4, h5, h6, h7
    for i = 1, 64 do
      local s1 = bxor(ror(e, 6), ror(e, 11), ror(e, 25))
      local t1 = h + s1 + bxor(band(e, f), band(bnot(e), g)) + K[i] + w[i]
      local s0 = bxor(ror(a, 2), ror(a, 13), ror(a, 22))
      local t2 = s0 + bxor(band(a, b), band(a, c), band(b, c))
      h, g, f, e, d, c, b, a = g, f, e, tobit(d + t1), c, b, a, tobit(t1 + t2)
    end
    h0, h1, h2, h3 = tobit(h0 + a), tobit(h1 + b), tobit(h2 + c), tobit(h3 + d)
    h4, h5, h6, h7 = tobit(h4 + e), tobit(h5 + f), tobit(h6 + g), tobit(h7 + h)
  end
  return tohex(h0) .. tohex(h1) .. tohex(h2) .. tohex(h3) .. tohex(h4) .. tohex(h5) .. tohex(h6) .. tohex(h7)
end

local function answer(handle, status, code, message)
  handle:respond({ [":status"] = status, ["content-type"] = "application/json" },
    '{"success":false,"error":{"code":"' .. code .. '","message":"' .. message .. '"}}')
end

function envoy_on_request(handle)
  local value = handle:headers():get("authorization")
  local token = value and value:match("^[Bb][Ee][Aa][Rr][Ee][Rr] +([^ ,]+)$")
  if not token then
    return answer(handle, "401", "UNAUTHORIZED", "Invalid or missing API key")
  end
  local record = records[sha256(token)]
  if not record then
    return answer(handle, "401", "INVALID_API_KEY", "The API key is invalid or has been revoked")
  end
  local now = handle:timestamp() / 1000
  local tokens = math.min(record.burst, (record.tokens or record.burst) + (now - (record.at or now)) * record.rate)
  record.at = now
  if tokens < 1 then
    record.tokens = tokens
    return answer(handle, "429", "RATE_LIMITED", "Too many requests, slow down")
  end
  record.tokens = tokens - 1
  if safe then
    local headers = handle:headers()
    headers:remove("authorization")
    headers:replace("x-flametalk-workspace-id", record.workspace)
    headers:replace("x-flametalk-key-id", record.id)
    headers:replace("x-flametalk-environment", "live")
  end
end
