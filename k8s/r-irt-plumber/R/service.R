# The service: what its routes do. A handler refuses by a condition; `guarded` makes an answer of it.

new_service <- function(settings) {
  metrics <- new_metrics()
  list(
    settings = settings,
    metrics = metrics,
    room = new_fit_room(settings$max_fits, settings$max_calibrations, metrics)
  )
}

health <- function(service, req, res) {
  answer_json(res, list(
    status = "ok", service = SERVICE_NAME, version = SERVICE_VERSION,
    time = format(Sys.time(), "%Y-%m-%dT%H:%M:%S+00:00", tz = "UTC")
  ))
}

show_metrics <- function(service, req, res) {
  res$setHeader("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
  res$body <- exposition(service$metrics)
  res
}

answer_score <- function(service, req, res) {
  require_token(req$HTTP_AUTHORIZATION, service$settings$token)
  request <- score_request(body_of(service, req))
  count(service$metrics, "irt_scores_total")
  answer_json(res, score(request))
}

# Reading a large body takes as long as many a fit, so it is the fit's process that does it.
answer_calibration <- function(service, req, res) {
  require_token(req$HTTP_AUTHORIZATION, service$settings$token)
  require_place(service$room)
  fitted <- run_fit(service$room, function() {
    request <- calibration_request(body_of(service, req))
    list(n = nrow(request$answers), json = to_json(calibrate(request)))
  })
  promises::then(fitted, function(answer) {
    count(service$metrics, "irt_observations_total", answer$n)
    res$setHeader("Content-Type", "application/json")
    res$body <- answer$json
    res
  })
}

body_of <- function(service, req) {
  read_json_object(req$rook.input$read(), req$HTTP_CONTENT_ENCODING, service$settings$max_body_bytes)
}

# A handler for plumber that answers every failure, now or of a promise, as {error}.
guarded <- function(service, handler) {
  force(handler)
  function(req, res) {
    answer <- tryCatch(handler(service, req, res), error = function(e) answer_failure(res, e))
    if (!promises::is.promise(answer)) {
      return(answer)
    }
    promises::catch(answer, function(e) answer_failure(res, e))
  }
}

# What httpuv asks before it reads a body: NULL lets it in. A client that is still sending when it is refused may
# see a broken connection instead of the 413, so only a body far beyond the limit is refused unread.
READ_UP_TO_LIMITS <- 2

refuse_declared_length <- function(service, req) {
  declared <- suppressWarnings(as.numeric(req$CONTENT_LENGTH))
  most <- READ_UP_TO_LIMITS * service$settings$max_body_bytes
  if (length(declared) != 1 || is.na(declared) || declared <= most) {
    return(NULL)
  }
  refusal <- tryCatch(refuse_large(service$settings$max_body_bytes), error = identity)
  list(
    status = refusal$status,
    headers = list("Content-Type" = "application/json"),
    body = to_json(list(error = conditionMessage(refusal)))
  )
}
