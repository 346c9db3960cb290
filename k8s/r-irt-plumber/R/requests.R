# The bodies of the contract, checked: what comes out is complete and of the right types.

LINKING_METHODS <- c("mean-sigma", "mean-mean", "haebara", "stocking-lord")
DEFAULT_MIN_RESPONSES <- 5
LARGEST_MIN_RESPONSES <- 1e6
SMALLEST_SD <- 0.001
LARGEST_SD <- 1000

calibration_request <- function(body) {
  list(
    answers = answers_field(body[["observations"]], "observations", c("user_id", "item_id")),
    model = choice_field(body[["model"]], "model", MODELS),
    anchors = known_items_field(body[["anchors"]], "anchors", with_fixed = TRUE),
    starts = known_items_field(body[["starts"]], "starts", with_fixed = FALSE),
    linking = optional(body[["linking"]], "mean-sigma", function(value) {
      choice_field(value, "linking", LINKING_METHODS)
    }),
    min_responses = if_given(body, "min_responses", DEFAULT_MIN_RESPONSES, min_responses_field)
  )
}

score_request <- function(body) {
  params <- object_field(body[["item_params"]], "item_params")
  ids <- names(params)
  if (any(ids == "")) malformed("item_params: an item_id must not be empty")
  values <- Map(params_field, params, paste0("item_params[", dQuote(ids, FALSE), "]", recycle0 = TRUE))
  if (!is.null(body[["model"]])) choice_field(body[["model"]], "model", MODELS)
  list(
    items = item_table(ids, values),
    answers = answers_field(body[["responses"]], "responses", "item_id"),
    prior = optional(body[["prior"]], c(mean = 0, sd = 1), prior_field)
  )
}

# A field that may be missing or null.
optional <- function(value, default, read) if (is.null(value)) default else read(value)

# A field that may be missing, but not null.
if_given <- function(object, name, default, read) if (name %in% names(object)) read(object[[name]]) else default

min_responses_field <- function(value) {
  number <- bounded_field(value, "min_responses", 2, LARGEST_MIN_RESPONSES)
  if (number != floor(number)) malformed("min_responses must be a whole number")
  number
}

prior_field <- function(value) {
  value <- object_field(value, "prior")
  c(
    mean = if_given(value, "mean", 0, function(x) bounded_field(x, "prior.mean", -LARGEST_LOGIT, LARGEST_LOGIT)),
    sd = if_given(value, "sd", 1, function(x) bounded_field(x, "prior.sd", SMALLEST_SD, LARGEST_SD))
  )
}

# Anchors or starting values: one row an item, with `fixed` where that is asked for.
known_items_field <- function(value, path, with_fixed) {
  rows <- if (is.null(value)) list() else array_field(value, path)
  places <- paste0(path, "[", seq_along(rows) - 1, "]", recycle0 = TRUE)
  rows <- Map(object_field, rows, places)
  ids <- vapply(seq_along(rows), function(at) {
    id_field(rows[[at]][["item_id"]], paste0(places[at], ".item_id"))
  }, "")
  params <- Map(function(row, place) params_field(row[["params"]], paste0(place, ".params")), rows, places)
  if (anyDuplicated(ids)) malformed(path, ": item_id ", dQuote(ids[anyDuplicated(ids)], FALSE), " is given twice")
  items <- item_table(ids, params)
  if (with_fixed) {
    items$fixed <- vapply(seq_along(rows), function(at) {
      if_given(rows[[at]], "fixed", FALSE, function(x) flag_field(x, paste0(places[at], ".fixed")))
    }, NA)
  }
  items
}

item_table <- function(ids, params) {
  value <- function(name) vapply(params, `[[`, 0, name, USE.NAMES = FALSE)
  data.frame(item_id = as.character(ids), a = value("a"), b = value("b"), c = value("c"), stringsAsFactors = FALSE)
}
