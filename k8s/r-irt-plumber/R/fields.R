# Reading fields of a parsed body; every complaint names the field by its path.

MODELS <- c("Rasch", "1PL", "2PL", "3PL")

is_object <- function(value) is.list(value) && !is.null(names(value))

is_array <- function(value) is.list(value) && is.null(names(value))

is_number <- function(value) is.numeric(value) && length(value) == 1 && is.finite(value)

is_text <- function(value) is.character(value) && length(value) == 1

is_flag <- function(value) is.logical(value) && length(value) == 1 && !is.na(value)

object_field <- function(value, path) {
  if (!is_object(value)) malformed(path, " must be an object", absent(value))
  value
}

array_field <- function(value, path) {
  if (!is_array(value)) malformed(path, " must be an array", absent(value))
  value
}

number_field <- function(value, path) {
  if (!is_number(value)) malformed(path, " must be a finite number", absent(value))
  as.numeric(value)
}

text_field <- function(value, path) {
  if (!is_text(value)) malformed(path, " must be text", absent(value))
  value
}

id_field <- function(value, path) {
  if (text_field(value, path) == "") malformed(path, " must not be empty")
  value
}

flag_field <- function(value, path) {
  if (!is_flag(value)) malformed(path, " must be true or false", absent(value))
  value
}

choice_field <- function(value, path, choices) {
  if (!is_text(value) || !value %in% choices) {
    malformed(path, " must be one of ", paste(choices, collapse = ", "), absent(value))
  }
  value
}

absent <- function(value) if (is.null(value)) "; it is missing or null" else ""

# Far beyond what any item measures; within these bounds no likelihood overflows.
LARGEST_A <- 100
LARGEST_LOGIT <- 1000

# a, b and c of one item; c may be missing or null, which means 0.
params_field <- function(value, path) {
  value <- object_field(value, path)
  c(
    a = bounded_field(value[["a"]], paste0(path, ".a"), -LARGEST_A, LARGEST_A),
    b = bounded_field(value[["b"]], paste0(path, ".b"), -LARGEST_LOGIT, LARGEST_LOGIT),
    c = if (is.null(value[["c"]])) 0 else asymptote_field(value[["c"]], paste0(path, ".c"))
  )
}

bounded_field <- function(value, path, least, most) {
  number <- number_field(value, path)
  if (number < least || number > most) malformed(path, " must lie in [", least, ", ", most, "]")
  number
}

asymptote_field <- function(value, path) {
  number <- number_field(value, path)
  if (number < 0 || number >= 1) malformed(path, " must lie in [0, 1)")
  number
}

# Answers to items as columns. The columns are read in one go; only a body that is wrong pays for the search
# of the first place where it is.
answers_field <- function(value, path, ids) {
  rows <- array_field(value, path)
  tryCatch(
    columns_of(rows, ids),
    error = function(e) {
      complain_of_rows(rows, path, ids)
      stop(e)
    }
  )
}

columns_of <- function(rows, ids) {
  columns <- lapply(ids, function(id) vapply(rows, `[[`, "", id))
  names(columns) <- ids
  columns$is_correct <- vapply(rows, `[[`, NA, "is_correct")
  if (anyNA(columns$is_correct) || any(unlist(columns[ids]) == "")) stop("a missing value")
  as.data.frame(columns, stringsAsFactors = FALSE)
}

complain_of_rows <- function(rows, path, ids) {
  for (at in seq_along(rows)) {
    here <- paste0(path, "[", at - 1, "]")
    row <- object_field(rows[[at]], here)
    for (id in ids) id_field(row[[id]], paste0(here, ".", id))
    flag_field(row[["is_correct"]], paste0(here, ".is_correct"))
  }
}
