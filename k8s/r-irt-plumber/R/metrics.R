# What the service counts, as Prometheus reads it; names are those of the embedded service.

SECONDS_BUCKETS <- c(0.005, 0.02, 0.1, 0.5, 2, 10, 60, 300, 1800)

HELP <- c(
  http_requests_total = "counter Requests answered",
  http_request_duration_seconds = "histogram Seconds from a request to its answer",
  irt_fits_total = "counter Fits by outcome",
  irt_fit_duration_seconds = "histogram Seconds of a fit",
  irt_observations_total = "counter Answers calibrated on",
  irt_scores_total = "counter Abilities estimated",
  irt_rejected_bodies_total = "counter Bodies refused, by status",
  irt_calibrations_in_progress = "gauge Calibrations waiting or in work"
)

new_metrics <- function() {
  metrics <- new.env(parent = emptyenv())
  metrics$values <- list()
  set_gauge(metrics, "irt_calibrations_in_progress", 0)
  count(metrics, "irt_observations_total", 0)
  count(metrics, "irt_scores_total", 0)
  metrics
}

count <- function(metrics, name, by = 1, labels = NULL) {
  set_sample(metrics, name, name, labels, function(old) old + by)
}

set_gauge <- function(metrics, name, value) {
  set_sample(metrics, name, name, NULL, function(old) value)
}

observe_seconds <- function(metrics, name, seconds, labels = NULL) {
  for (bound in SECONDS_BUCKETS) {
    le <- c(labels, le = format(bound))
    set_sample(metrics, name, paste0(name, "_bucket"), le, function(old) old + (seconds <= bound))
  }
  set_sample(metrics, name, paste0(name, "_bucket"), c(labels, le = "+Inf"), function(old) old + 1)
  set_sample(metrics, name, paste0(name, "_sum"), labels, function(old) old + seconds)
  set_sample(metrics, name, paste0(name, "_count"), labels, function(old) old + 1)
}

set_sample <- function(metrics, family, sample, labels, change) {
  key <- paste0(sample, label_text(labels))
  old <- metrics$values[[family]][key]
  metrics$values[[family]][key] <- change(if (is.null(old) || is.na(old)) 0 else old)
}

# Values are routes, methods, statuses and outcomes of our own: nothing to escape.
label_text <- function(labels) {
  if (length(labels) == 0) "" else paste0("{", paste0(names(labels), '="', labels, '"', collapse = ","), "}")
}

exposition <- function(metrics) {
  families <- intersect(names(HELP), names(metrics$values))
  text <- vapply(families, function(family) {
    kind <- sub(" .*", "", HELP[[family]])
    values <- metrics$values[[family]]
    paste0(
      "# HELP ", family, " ", sub("^[a-z]+ ", "", HELP[[family]]), "\n# TYPE ", family, " ", kind, "\n",
      paste0(names(values), " ", vapply(values, format, "", digits = 15), "\n", collapse = "")
    )
  }, "")
  paste0(text, collapse = "")
}
