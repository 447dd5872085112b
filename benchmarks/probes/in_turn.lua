-- Asks for the targets of a file in turn; a second argument makes each a POST with a body of that many bytes. A third is a
-- file of header lines, which requests carry in turn, too.
-- Prints one JSON object for benchmarks/load.py.

local requests = {}
local last = 0

local function lines_of(file)
  local lines = {}
  for line in io.lines(file) do
    lines[#lines + 1] = line
  end
  return lines
end

function init(arguments)
  local length = tonumber(arguments[2])
  local targets, lines = lines_of(arguments[1]), lines_of(arguments[3])
  for index = 1, math.max(#targets, #lines) do
    local target = targets[(index - 1) % #targets + 1]
    local headers = {}
    if #lines > 0 then
      local name, value = lines[(index - 1) % #lines + 1]:match("^([^:]+): (.*)$")
      headers[name] = value
    end
    if length > 0 then
      headers["content-type"] = "application/octet-stream"
      requests[index] = wrk.format("POST", target, headers, string.rep("x", length))
    else
      requests[index] = wrk.format("GET", target, headers)
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
