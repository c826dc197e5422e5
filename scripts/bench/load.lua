-- wrk asks for lines of a file at random and at its end prints every latency, for scripts/bench/wrk.py to read.
-- After "--": the file, a path a line and perhaps, after a tab, the tag for If-None-Match; and what chance begins with.
local requests = {}
local threads = 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init(arguments)
  math.randomseed(tonumber(arguments[2]) + number)
  for line in io.lines(arguments[1]) do
    local path, tag = line:match("^([^\t]*)\t?(.*)$")
    local headers = {}
    if tag ~= "" then headers["If-None-Match"] = tag end
    requests[#requests + 1] = wrk.format("GET", path, headers)
  end
end

function request()
  return requests[math.random(#requests)]
end

function done(summary, latency, _)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.timeout + errors.status
  io.write(string.format("undervolt %d %d %d %d\n", summary.duration, summary.requests, summary.bytes, failed))
  for index = 1, #latency do
    local microseconds, count = latency(index)
    io.write(string.format("%d %d\n", microseconds, count))
  end
end
