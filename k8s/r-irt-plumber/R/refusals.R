# Errors a caller is told: a status, a message that names the field, and nothing about the inside.

refuse <- function(status, ...) {
  message <- paste0(...)
  stop(structure(
    class = c("refusal", "error", "condition"),
    list(message = message, call = NULL, status = status)
  ))
}

is_refusal <- function(condition) inherits(condition, "refusal")

malformed <- function(...) refuse(400L, ...)

unfittable <- function(...) refuse(422L, ...)

# What a handler's failure becomes: a refusal as it is, anything else a 500 whose cause goes to the log only.
answer_failure <- function(res, condition) {
  if (!is_refusal(condition)) {
    log_line("error: ", conditionMessage(condition))
    return(answer_error(res, 500L, "The service failed. Its log says why; the request may be repeated."))
  }
  if (condition$status == 401L) res$setHeader("WWW-Authenticate", "Bearer")
  if (condition$status == 503L) res$setHeader("Retry-After", RETRY_AFTER_SECS)
  answer_error(res, condition$status, conditionMessage(condition))
}

answer_error <- function(res, status, message) {
  res$status <- status
  answer_json(res, list(error = message))
}

answer_json <- function(res, value) {
  res$setHeader("Content-Type", "application/json")
  res$body <- to_json(value)
  res
}

# All digits there are (15 significant ones); NA and NaN are JSON's null.
to_json <- function(value) {
  unclass(jsonlite::toJSON(
    value, auto_unbox = TRUE, digits = NA, na = "null", null = "null", dataframe = "rows"
  ))
}

log_line <- function(...) {
  cat(format(Sys.time(), "%Y-%m-%dT%H:%M:%SZ", tz = "UTC"), " ", ..., "\n", file = stderr(), sep = "")
}
