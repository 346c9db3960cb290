-- Runs inside `pandoc lua`, kept by rendering/pandoc.py: one document a request, over pipes.
--
-- A frame is its length in bytes on a line of its own, then the bytes. At the start two frames come: the
-- filter, and the templates as JSON {format: text}. A request is JSON {text, formats, media}; the answer is
-- JSON {format: text}, or {error: message}.

local READER = "markdown-smart"

local function read_frame()
  local length = io.read("n", "L")
  return length and io.read(length)
end

local function write_frame(text)
  io.write(#text, "\n", text)
  io.flush()
end

local filter_text = read_frame()
local templates = {}
for format, text in pairs(pandoc.json.decode(read_frame())) do
  templates[format] = pandoc.template.compile(text)
end

-- The filter asks for FORMAT once, when it is loaded.
local function filters_for(format)
  local scope = setmetatable({ FORMAT = format }, { __index = _G })
  return assert(load(filter_text, "report.lua", "t", scope))()
end

local filters = {}
for format in pairs(templates) do filters[format] = filters_for(format) end

local function written(document, format)
  for _, filter in ipairs(filters[format]) do document = document:walk(filter) end
  local options = pandoc.WriterOptions({
    template = templates[format],
    table_of_contents = true,
    toc_depth = 2,
    section_divs = true,
    wrap_text = "none",
    variables = { embedded = "true" },
  })
  return pandoc.write(document, format, options)
end

local function rendered(request)
  pandoc.mediabag.empty()
  for path, content in pairs(request.media) do
    pandoc.mediabag.insert(path, "image/svg+xml", content)
  end
  local document = pandoc.read(request.text, READER)
  local answer = {}
  for _, format in ipairs(request.formats) do answer[format] = written(document, format) end
  return answer
end

local frame = read_frame()
while frame do
  local done, answer = pcall(rendered, pandoc.json.decode(frame))
  write_frame(pandoc.json.encode(done and answer or { error = tostring(answer) }))
  frame = read_frame()
end
