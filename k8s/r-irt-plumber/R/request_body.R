# From the bytes of a request to a JSON object.

CHUNK_BYTES <- 2^20
BYTES_OF_GZIP_MAGIC <- as.raw(c(0x1f, 0x8b))

read_json_object <- function(raw_body, encoding, max_bytes) {
  body <- unpack(raw_body, encoding, max_bytes)
  if (length(body) > max_bytes) refuse_large(max_bytes)
  text <- utf8_text(body)
  value <- tryCatch(
    jsonlite::parse_json(text),
    error = function(e) malformed("the body is not JSON: ", fault_of_json(conditionMessage(e)))
  )
  if (!is_object(value)) malformed("the body must be a JSON object")
  value
}

refuse_large <- function(max_bytes) {
  refuse(413L, "the body is larger than the ", floor(max_bytes / MEGABYTE), " MB that this service takes")
}

unpack <- function(raw_body, encoding, max_bytes) {
  encoding <- tolower(trimws(if (is.null(encoding)) "" else encoding))
  if (encoding %in% c("", "identity")) {
    return(raw_body)
  }
  if (encoding != "gzip") {
    refuse(415L, "Content-Encoding ", dQuote(encoding, FALSE), " is not taken; use gzip or none")
  }
  gunzip(raw_body, max_bytes)
}

# memDecompress would allocate without end on a stream cut short; a connection stops at the limit.
gunzip <- function(packed, max_bytes) {
  if (length(packed) < 18 || !identical(packed[1:2], BYTES_OF_GZIP_MAGIC)) {
    malformed("the body is not gzip though Content-Encoding says so")
  }
  connection <- gzcon(rawConnection(packed), allowNonCompressed = FALSE)
  on.exit(close(connection))
  chunks <- list()
  size <- 0
  repeat {
    chunk <- tryCatch(readBin(connection, "raw", CHUNK_BYTES), error = broken_gzip, warning = broken_gzip)
    if (length(chunk) == 0) break
    size <- size + length(chunk)
    if (size > max_bytes) refuse_large(max_bytes)
    chunks[[length(chunks) + 1]] <- chunk
  }
  if (size %% 2^32 != stated_size(packed)) broken_gzip()
  unlist(chunks)
}

broken_gzip <- function(condition = NULL) malformed("the gzip stream of the body is damaged or cut short")

# The last four bytes of a gzip stream: the length of what was packed, modulo 2^32 (RFC 1952).
stated_size <- function(packed) sum(as.numeric(utils::tail(packed, 4)) * 256^(0:3))

utf8_text <- function(body) {
  if (length(body) == 0) malformed("the body is empty; send a JSON object")
  if (any(body == as.raw(0))) malformed("the body is not UTF-8 text: it holds a zero byte")
  text <- rawToChar(body)
  if (!validUTF8(text)) malformed("the body is not UTF-8 text")
  # R's strings end at a zero character: what follows one would silently be lost.
  if (grepl("\\u0000", text, fixed = TRUE)) malformed("the body holds \\u0000, which no id can contain")
  Encoding(text) <- "UTF-8"
  text
}

# The parser's own words, without the piece of the body that it quotes on further lines.
fault_of_json <- function(message) {
  first <- strsplit(message, "\n", fixed = TRUE)[[1]][1]
  if (grepl("^(lexical|parse) error", first)) trimws(first) else "it is nested too deeply"
}
