-- What the weekly report asks of pandoc beyond its markdown; Quarto runs the same filter.
--
-- HTML: figures stand inline, cells of table heads have a scope, long tables fold, the last part becomes
-- the page's footer. typst: divs and spans are calls of the template's functions, figures carry their
-- alternative text.

-- Divs and spans that call a function of the template, with their content or with each of their children.
local AS_CONTENT = { lead = true, means = true, empty = true, advice = true, footer = true }
local AS_CHILDREN = { facts = true, kpis = true, split = true }
local AS_INLINE = { term = true, value = true, delta = true, why = true, item = true, own = true, other = true }
local is_html = FORMAT:match("html") ~= nil
local is_typst = FORMAT:match("typst") ~= nil

local function typst_string(text)
  return '"' .. text:gsub("\\", "\\\\"):gsub('"', '\\"') .. '"'
end

local function only_image(block)
  return #block.content == 1 and block.content[1].t == "Image" and block.content[1] or nil
end

-- A figure of the page's own colours stands beside the printed one, as name.screen.svg.
local function inline_figure(image)
  local _, svg = pandoc.mediabag.fetch((image.src:gsub("%.svg$", ".screen.svg")))
  return pandoc.RawBlock("html", svg)
end

local function printed_figure(image)
  local alt = image.attributes["fig-alt"] or image.attributes.alt or ""
  return pandoc.RawBlock("typst", ("#drawing(%s, alt: %s)"):format(typst_string(image.src), typst_string(alt)))
end

local function figure_of(block)
  local image = only_image(block)
  if not image then return nil end
  return is_html and inline_figure(image) or printed_figure(image)
end

local function with_scopes(table)
  for _, row in ipairs(table.head.rows) do
    for _, cell in ipairs(row.cells) do cell.attributes.scope = "col" end
  end
  for _, body in ipairs(table.bodies) do
    body.row_head_columns = 1
    for _, row in ipairs(body.body) do row.cells[1].attributes.scope = "row" end
  end
  return table
end

local function folded(div)
  local summary = "<details><summary>" .. pandoc.write(pandoc.Pandoc(div.attributes.summary), "html")
  local blocks = pandoc.Blocks({ pandoc.RawBlock("html", summary:gsub("</?p>", "") .. "</summary>") })
  blocks:extend(div.content)
  blocks:insert(pandoc.RawBlock("html", "</details>"))
  return blocks
end

local function raw(text) return pandoc.RawBlock("typst", text) end

local function call_with_content(name, content)
  local blocks = pandoc.Blocks({ raw("#" .. name .. "[") })
  blocks:extend(content)
  blocks:insert(raw("]"))
  return blocks
end

local function call_with_children(name, children)
  local blocks = pandoc.Blocks({ raw("#" .. name .. "(") })
  for _, child in ipairs(children) do
    blocks:insert(raw("["))
    blocks:insert(child)
    blocks:insert(raw("],"))
  end
  blocks:insert(raw(")"))
  return blocks
end

-- In print the last part's list runs on in lines, so that it does not take a page of its own.
local function run_on(list)
  local inlines = pandoc.Inlines({})
  for number, item in ipairs(list.content) do
    if number > 1 then inlines:insert(pandoc.Str(" · ")) end
    inlines:extend(pandoc.utils.blocks_to_inlines(item))
  end
  return pandoc.Para(inlines)
end

local function typst_div(div)
  local class = div.classes[1]
  if class == "footer" then div = div:walk({ BulletList = run_on }) end
  if AS_CHILDREN[class] then
    return call_with_children(div.classes:includes("tall") and "tall-" .. class or class, div.content)
  end
  if AS_CONTENT[class] then return call_with_content(class, div.content) end
end

local function typst_span(span)
  local class = span.classes[1]
  if not AS_INLINE[class] then return nil end
  local inlines = pandoc.Inlines({ pandoc.RawInline("typst", "#" .. class .. "[") })
  inlines:extend(span.content)
  inlines:insert(pandoc.RawInline("typst", "]"))
  return inlines
end

local function without_footer(document)
  local kept = pandoc.Blocks({})
  for _, block in ipairs(document.blocks) do
    if block.t == "Div" and block.classes:includes("footer") then
      document.meta.footer = pandoc.MetaBlocks(block.content)
    else
      kept:insert(block)
    end
  end
  document.blocks = kept
  return document
end

local html = {
  { Para = figure_of, Plain = figure_of, Table = with_scopes,
    Div = function(div) if div.classes[1] == "folded" then return folded(div) end end },
  { Pandoc = without_footer },
}
local typst = {
  { Para = figure_of, Plain = figure_of, Div = typst_div, Span = typst_span },
}
return is_html and html or is_typst and typst or {}
