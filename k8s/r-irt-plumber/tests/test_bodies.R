gzipped <- function(bytes) {
  path <- tempfile()
  on.exit(unlink(path))
  connection <- gzfile(path, "wb")
  writeBin(bytes, connection)
  close(connection)
  readBin(path, "raw", 1e6)
}

read <- function(text, encoding = NULL, limit = 1e6) {
  read_json_object(if (is.raw(text)) text else charToRaw(text), encoding, limit)
}

test("an object is read, plain or packed", {
  expect_same(read('{"a": 1.5}')$a, 1.5)
  expect_same(read(gzipped(charToRaw('{"a": "문항"}')), "gzip")$a, "문항")
})

test("what is no JSON object is 400", {
  for (text in c("null", "[]", "7", '"x"', "{", '{"a": NaN}', "{} x", "{'a': 1}")) expect_refusal(read(text), 400L)
  expect_refusal(read(raw(0)), 400L, "empty")
  expect_refusal(read(as.raw(c(0x7b, 0xe9, 0x7d))), 400L, "UTF-8")
  expect_refusal(read(as.raw(c(0x7b, 0x00, 0x7d))), 400L, "zero byte")
  expect_refusal(read('{"a": "x\\u0000y"}'), 400L, "u0000")
})

test("the message quotes nothing of the body", {
  refusal <- tryCatch(read('{"user_id": secret}'), refusal = identity)
  expect_same(grepl("secret", conditionMessage(refusal)), FALSE)
})

test("nesting beyond measure is 400", {
  expect_refusal(read(paste0(strrep("[", 1e6), strrep("]", 1e6)), limit = 1e7), 400L, "nested")
})

test("a damaged gzip stream is 400", {
  packed <- gzipped(charToRaw('{"a": 1, "b": "something longer"}'))
  expect_refusal(read(utils::head(packed, -12), "gzip"), 400L, "gzip")
  expect_refusal(read(utils::head(packed, -8), "gzip"), 400L, "gzip")
  expect_refusal(read("{}", "gzip"), 400L, "gzip")
  expect_refusal(read(raw(0), "gzip"), 400L, "gzip")
})

test("what is too large, packed or unpacked, is 413", {
  expect_refusal(read(strrep(" ", 2000), limit = 1000), 413L)
  expect_refusal(read(gzipped(charToRaw(strrep(" ", 1e5))), "gzip", limit = 1000), 413L)
})

test("an unknown encoding is 415", expect_refusal(read("{}", "br"), 415L, "gzip"))
