TOKEN <- "a-token-of-the-tests"

# Ask the router in this process, as the web server would; a promise is waited for.
ask <- function(method, path, body = "", ..., token = TOKEN, max_calibrations = 1) {
  settings <- list(token = token, max_body_bytes = 1e6, max_fits = 1, max_calibrations = max_calibrations)
  input <- list(read = function(l = -1L) charToRaw(body))
  req <- list2env(list(REQUEST_METHOD = method, PATH_INFO = path, QUERY_STRING = "", rook.input = input, ...))
  answer <- router(new_service(settings))$call(req)
  if (!promises::is.promise(answer)) {
    return(answer)
  }
  waited <- NULL
  promises::then(answer, function(value) waited <<- value)
  while (is.null(waited)) later::run_now(1)
  waited
}

bearer <- paste("Bearer", TOKEN)
SCORE <- '{"item_params": {"Q1": {"a": 1, "b": 0}}, "responses": [{"item_id": "Q1", "is_correct": true}]}'

test("probes need no token", {
  for (path in c("/healthz", "/health", "/metrics")) expect_same(as.integer(ask("GET", path)$status), 200L)
})

test("a score is answered to who has the token", {
  answer <- ask("POST", "/irt/score", SCORE, HTTP_AUTHORIZATION = bearer)
  expect_same(jsonlite::parse_json(answer$body)$status, "ok")
  expect_same(as.integer(ask("POST", "/irt/score", SCORE, token = "")$status), 200L)
})

test("a wrong token is 401", {
  for (header in c("Bearer", "Bearer wrong", TOKEN, paste0(bearer, "x"), "Basic x", "Bearer t\xf6k")) {
    answer <- ask("POST", "/irt/score", SCORE, HTTP_AUTHORIZATION = header)
    expect_same(as.integer(answer$status), 401L)
    expect_same(answer$headers[["WWW-Authenticate"]], "Bearer")
  }
})

test("what is not there is 404, a wrong method 405", {
  expect_same(as.integer(ask("GET", "/irt")$status), 404L)
  answer <- ask("GET", "/irt/score")
  expect_same(c(as.integer(answer$status)), 405L)
  expect_same(answer$headers[["Allow"]], "POST")
})

test("a refusal from the process of a fit reaches the caller", {
  answer <- ask("POST", "/irt/calibrate", '{"model": "2PL", "observations": []}', HTTP_AUTHORIZATION = bearer)
  expect_same(as.integer(answer$status), 422L)
})

test("without room a calibration is 503", {
  answer <- ask("POST", "/irt/calibrate", "{}", HTTP_AUTHORIZATION = bearer, max_calibrations = 0)
  expect_same(as.integer(answer$status), 503L)
  expect_same(answer$headers[["Retry-After"]], RETRY_AFTER_SECS)
})

test("a failure of our own shows nothing of the inside", {
  answer <- guarded(NULL, function(service, req, res) stop("at /secret/path"))(NULL, plumber:::PlumberResponse$new())
  expect_same(as.integer(answer$status), 500L)
  expect_same(grepl("secret", answer$body), FALSE)
})

test("metrics are Prometheus text", {
  metrics <- new_metrics()
  count(metrics, "http_requests_total", labels = c(method = "GET", path = "/health", status = 200))
  observe_seconds(metrics, "irt_fit_duration_seconds", 0.3)
  lines <- strsplit(exposition(metrics), "\n")[[1]]
  expect_same('http_requests_total{method="GET",path="/health",status="200"} 1' %in% lines, TRUE)
  expect_same('irt_fit_duration_seconds_bucket{le="0.5"} 1' %in% lines, TRUE)
  expect_same('irt_fit_duration_seconds_bucket{le="0.1"} 0' %in% lines, TRUE)
  values <- sub(".* ", "", grep("^#", lines, value = TRUE, invert = TRUE))
  expect_same(anyNA(as.numeric(values)), FALSE)
})

test("missing numbers are null and digits are kept", {
  items <- data.frame(item_id = "Q", a = 1 / 3, b = 0, c = 0, se_a = NA_real_, se_b = NaN, se_c = NA, n = 5)
  row <- jsonlite::parse_json(to_json(item_rows(items, "2PL")))[[1]]
  expect_near(row$params$a, 1 / 3, 1e-15)
  expect_same(row$se, list(a = NULL, b = NULL, c = NULL))
})
