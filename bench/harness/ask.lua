-- Load for wrk: asks for a reset for one address after the other, out of 100,000.
-- Arguments: path, field, "form" or "json", first address, how many answers to stop after (0: never).
local path, field, format, number, limit
local answered = 0
local ADDRESSES = 100000

function init(args)
  path, field, format = args[1], args[2], args[3]
  number, limit = tonumber(args[4]), tonumber(args[5])
  if limit == 0 then response = nil end -- without it wrk need not parse every answer
  if format == "json" then
    wrk.headers["Content-Type"] = "application/json"
  else
    wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
  end
end

function request()
  local address = string.format("user%06d", number % ADDRESSES)
  number = number + 1
  local body
  if format == "json" then
    body = string.format('{"%s": "%s@bench.example"}', field, address)
  else
    body = field .. "=" .. address .. "%40bench.example"
  end
  return wrk.format("POST", path, nil, body)
end

function response(status)
  answered = answered + 1
  if answered == limit then
    -- wrk sleeps until its time is over, come what may: whoever reads this line interrupts it.
    io.write("\nLIMIT\n")
    io.flush()
    wrk.thread:stop()
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\nWRK {"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end
