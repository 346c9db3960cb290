calibration <- function(...) {
  fields <- list(model = "2PL", observations = list(list(user_id = "u1", item_id = "Q1", is_correct = TRUE)))
  given <- list(...)
  fields[names(given)] <- given
  calibration_request(fields)
}

observed <- function(...) list(list(...))

test("a calibration has its defaults", {
  request <- calibration()
  expect_same(request$linking, "mean-sigma")
  expect_near(request$min_responses, 5, 0)
  expect_same(nrow(request$anchors), 0L)
  expect_same(request$answers$is_correct, TRUE)
})

test("no observations are a table of none", {
  expect_same(nrow(calibration_request(list(model = "2PL", observations = list()))$answers), 0L)
})

test("a wrong observation is named by its place", {
  good <- list(user_id = "u1", item_id = "Q1", is_correct = TRUE)
  bad <- list(good, list(user_id = "u1", item_id = 7, is_correct = TRUE))
  expect_refusal(calibration(observations = bad), 400L, "observations[1].item_id")
  expect_refusal(calibration(observations = observed(user_id = "", item_id = "Q", is_correct = TRUE)), 400L, "user_id")
  expect_refusal(calibration(observations = observed(user_id = "u", item_id = "Q")), 400L, "is_correct")
  expect_refusal(calibration(observations = observed(user_id = "u", item_id = "Q", is_correct = 1)), 400L, "is_correct")
})

test("wrong options are named", {
  expect_refusal(calibration(model = "4PL"), 400L, "model")
  expect_refusal(calibration(linking = "guess"), 400L, "linking")
  expect_refusal(calibration(min_responses = 1), 400L, "min_responses")
  expect_refusal(calibration(min_responses = 2.5), 400L, "min_responses")
})

test("anchors are checked", {
  anchor <- list(item_id = "Q1", params = list(a = 1, b = 0))
  expect_same(calibration(anchors = list(anchor))$anchors$fixed, FALSE)
  expect_near(calibration(anchors = list(anchor))$anchors$c, 0, 0)
  expect_refusal(calibration(anchors = list(anchor, anchor)), 400L, "Q1")
  expect_refusal(calibration(anchors = list(list(item_id = "Q1", params = list(a = 1)))), 400L, "anchors[0].params.b")
  expect_refusal(calibration(anchors = list(list(item_id = "Q1", params = list(a = 1, b = Inf)))), 400L, "b")
})

test("a score's prior is N(0, 1) unless given", {
  body <- list(item_params = list(Q1 = list(a = 1, b = 0)), responses = list())
  expect_near(score_request(body)$prior, c(0, 1), 0)
  expect_refusal(score_request(c(body, list(prior = list(sd = 0)))), 400L, "prior.sd")
})
