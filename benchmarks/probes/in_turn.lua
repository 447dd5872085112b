-- Asks for the targets of a file in turn; a second argument makes each a POST with a body of that many bytes.
-- Prints one JSON object for benchmarks/load.py.

local requests = {}
local last = 0

function init(arguments)
  local length = tonumber(arguments[2])
  for target in io.lines(arguments[1]) do
    if length > 0 then
      requests[#requests + 1] = wrk.format("POST", target, {["content-type"] = "application/octet-stream"},
                                           string.rep("x", length))
    else
      requests[#requests + 1] = wrk.format("GET", target)
    end
  end
end

function request()
  last = last % #requests + 1
  return requests[last]
end

function done(summary)
  local errors = summary.errors
  io.write(string.format('{"requests": %d, "microseconds": %d, "bytes": %d, "errors": %d}\n',
    summary.requests, summary.duration, summary.bytes,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
