# The routes of the contract.

ROUTES <- list(
  list(method = "GET", path = "/healthz", handler = health),
  list(method = "GET", path = "/health", handler = health),
  list(method = "GET", path = "/metrics", handler = show_metrics),
  list(method = "POST", path = "/irt/calibrate", handler = answer_calibration),
  list(method = "POST", path = "/irt/score", handler = answer_score)
)

router <- function(service) {
  # Without plumber's own filters: bodies are read by request_body.R, cookies and queries by nobody.
  pr <- plumber::pr(filters = NULL)
  for (route in ROUTES) {
    pr <- plumber::pr_handle(pr, route$method, route$path, guarded(service, route$handler))
  }
  pr <- plumber::pr_set_404(pr, unrouted)
  pr <- plumber::pr_set_error(pr, function(req, res, err) answer_failure(res, err))
  plumber::pr_hooks(pr, observing(service$metrics))
}

# 405 where another method of the path exists, else 404.
unrouted <- function(req, res) {
  paths <- vapply(ROUTES, `[[`, "", "path")
  methods <- vapply(ROUTES, `[[`, "", "method")[paths == req$PATH_INFO]
  if (length(methods) == 0) {
    return(answer_error(res, 404L, "there is nothing at this address"))
  }
  res$setHeader("Allow", paste(methods, collapse = ", "))
  answer_error(res, 405L, paste0("this address takes ", paste(methods, collapse = ", "), " only"))
}

observing <- function(metrics) {
  list(
    preroute = function(data, req) data$started <- as.numeric(Sys.time()),
    postroute = function(data, req, res, value) {
      seconds <- as.numeric(Sys.time()) - data$started
      path <- if (req$PATH_INFO %in% vapply(ROUTES, `[[`, "", "path")) req$PATH_INFO else "other"
      method <- if (req$REQUEST_METHOD %in% c("GET", "POST")) req$REQUEST_METHOD else "other"
      count(metrics, "http_requests_total", labels = c(method = method, path = path, status = res$status))
      observe_seconds(metrics, "http_request_duration_seconds", seconds, c(path = path))
      if (path %in% c("/irt/calibrate", "/irt/score") && res$status >= 400 && res$status < 500) {
        count(metrics, "irt_rejected_bodies_total", labels = c(status = res$status))
      }
      if (req$REQUEST_METHOD == "HEAD") without_body(res)
      log_line(method, " ", path, " ", res$status, " ", round(seconds, 3), " s")
      value
    }
  )
}

# httpuv would send the body of an answer to HEAD, even one of no bytes once it is compressed, and a client take it
# for the next answer.
without_body <- function(res) {
  res$body <- ""
  res$setHeader("Content-Encoding", "identity")
}
