# Tests of the service's helpers; needs plumber and no mirt: Rscript tests/run.R

here <- dirname(normalizePath(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))[1]))
source(file.path(dirname(here), "load.R"))
load_service(dirname(here))

outcomes <- new.env()
outcomes$n <- 0
outcomes$failed <- 0

test <- function(name, code) {
  outcomes$n <- outcomes$n + 1
  fault <- tryCatch(
    {
      force(code)
      NULL
    },
    error = conditionMessage
  )
  if (is.null(fault)) {
    return(invisible())
  }
  outcomes$failed <- outcomes$failed + 1
  cat("FAILED: ", name, "\n  ", fault, "\n", sep = "")
}

expect_near <- function(found, expected, within) {
  if (length(found) != length(expected) || any(abs(found - expected) > within)) {
    stop("found ", paste(format(found, digits = 8), collapse = " "), "; expected ", paste(expected, collapse = " "))
  }
}

expect_same <- function(found, expected) {
  if (!identical(found, expected)) stop("found ", deparse(found)[1], "; expected ", deparse(expected)[1])
}

# That the code refuses with this status and a message that holds this text.
expect_refusal <- function(code, status, text = "") {
  refusal <- tryCatch(
    {
      force(code)
      stop("nothing was refused")
    },
    refusal = identity
  )
  expect_same(refusal$status, status)
  if (!grepl(text, conditionMessage(refusal), fixed = TRUE)) stop(conditionMessage(refusal), " lacks ", text)
}

for (file in list.files(here, pattern = "^test_", full.names = TRUE)) source(file, encoding = "UTF-8")
cat(outcomes$n - outcomes$failed, "of", outcomes$n, "tests passed\n")
quit(status = as.integer(outcomes$failed > 0))
