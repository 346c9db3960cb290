# Fits in processes of their own: a fit takes minutes and R has one thread, which must answer probes meanwhile.
# What a fit needed of memory is given back when its process ends.

POLL_SECS <- 0.05
RETRY_AFTER_SECS <- "30"

new_fit_room <- function(max_fits, max_calibrations, metrics) {
  room <- new.env(parent = emptyenv())
  room$max_fits <- max_fits
  room$max_calibrations <- max_calibrations
  room$running <- 0
  room$admitted <- 0
  room$metrics <- metrics
  room
}

# Refuse where all places are taken: what has been admitted bounds the memory.
require_place <- function(room) {
  if (room$admitted >= room$max_calibrations) {
    refuse(503L, room$admitted, " calibrations are waiting or in work; try again later")
  }
}

# A promise of work(), which runs in a forked process as soon as there is room.
run_fit <- function(room, work) {
  force(work)
  change_admitted(room, 1)
  started <- as.numeric(Sys.time())
  result <- promises::promise(function(resolve, reject) start_when_free(room, work, resolve, reject))
  promises::finally(result, function() {
    change_admitted(room, -1)
    observe_seconds(room$metrics, "irt_fit_duration_seconds", as.numeric(Sys.time()) - started)
  })
}

change_admitted <- function(room, by) {
  room$admitted <- room$admitted + by
  set_gauge(room$metrics, "irt_calibrations_in_progress", room$admitted)
}

# Call `attempt` now and every POLL_SECS until it returns TRUE.
repeat_until <- function(attempt) {
  step <- function() if (!attempt()) later::later(step, POLL_SECS)
  step()
}

start_when_free <- function(room, work, resolve, reject) {
  repeat_until(function() {
    if (room$running >= room$max_fits) {
      return(FALSE)
    }
    room$running <- room$running + 1
    job <- parallel::mcparallel(tryCatch(work(), error = identity), mc.set.seed = FALSE)
    repeat_until(function() collect(room, job, resolve, reject))
    TRUE
  })
}

# Whether the process of a job has ended; if so its result is passed on.
collect <- function(room, job, resolve, reject) {
  done <- suppressWarnings(parallel::mccollect(job, wait = FALSE))
  if (is.null(done)) {
    return(FALSE)
  }
  room$running <- room$running - 1
  result <- done[[1]]
  count_outcome(room$metrics, result)
  if (is.null(result)) {
    reject(simpleError("the process of a fit ended without a result; was it out of memory?"))
  } else if (inherits(result, "condition")) {
    reject(result)
  } else {
    resolve(result)
  }
  TRUE
}

count_outcome <- function(metrics, result) {
  failed <- is.null(result) || inherits(result, "condition")
  outcome <- if (!failed) "ok" else if (is_refusal(result)) "refused" else "failed"
  count(metrics, "irt_fits_total", labels = c(outcome = outcome))
}
