items <- data.frame(item_id = c("Q1", "Q2"), a = c(1.2, 0.8), b = c(-0.5, 1), c = c(0, 0.2))

test("ability is the mean of the posterior", {
  theta <- seq(-10, 10, length.out = 20001)
  p <- curves(items, theta)
  posterior <- stats::dnorm(theta) * p[1, ] * (1 - p[2, ])
  expected <- sum(theta * posterior) / sum(posterior)
  found <- score(list(
    items = items, prior = c(mean = 0, sd = 1),
    answers = data.frame(item_id = c("Q1", "Q2", "elsewhere"), is_correct = c(TRUE, FALSE, TRUE))
  ))
  expect_near(found$theta, expected, 1e-6)
  expect_near(found$standard_error, sqrt(sum((theta - expected)^2 * posterior) / sum(posterior)), 1e-6)
  expect_same(found$n_items, 2L)
})

test("probabilities do not underflow", {
  log_p <- log_probabilities(data.frame(a = 10, b = 0, c = 0), c(-100, 100))
  expect_same(all(is.finite(unlist(log_p))), TRUE)
})

answers <- data.frame(
  user_id = c("u2", "u1", "u1", "u2", "u2", "u3"), item_id = c("b", "a", "b", "a", "a", "c"),
  is_correct = c(TRUE, TRUE, FALSE, FALSE, TRUE, TRUE), stringsAsFactors = FALSE
)

test("answers are counted by learner and item", {
  sample <- sample_of(answers)
  expect_same(sample$user_ids, c("u1", "u2", "u3"))
  expect_same(unname(sample$right[, 1]), c(1L, 1L, 0L))
  expect_same(unname(sample$wrong[, 1]), c(0L, 1L, 0L))
  expect_same(select_items(sample, c(TRUE, TRUE, FALSE))$user_ids, c("u1", "u2"))
  expect_near(n_blocks(sample), 2, 0)
})

test("a repeated answer gets a column of its own, of the same item", {
  columns <- answer_columns(select_items(sample_of(answers), c(TRUE, TRUE, FALSE)), padded = FALSE)
  expect_same(columns$item, c(1L, 2L, 1L))
  expect_same(sum(!is.na(columns$values)), 5L)
  expect_near(sum(columns$values, na.rm = TRUE), 3, 0)
})

test("padding brings all learners to the same number of answers", {
  columns <- answer_columns(sample_of(answers), padded = TRUE)
  expect_same(unname(rowSums(!is.na(columns$values))), c(3, 3, 3))
  expect_same(columns$n_padding, 3L)
})

test("items that no model can place are left out", {
  users <- paste0("u", 1:20)
  of <- function(item, who, right) data.frame(user_id = who, item_id = item, is_correct = right)
  sample <- sample_of(rbind(
    of("easy", users, TRUE), of("fair", users, rep(c(TRUE, FALSE), 10)), of("good", users, rep(c(FALSE, TRUE), 10)),
    of("hard", users, FALSE), of("rare", users[1:3], c(TRUE, FALSE, TRUE)),
    of("alone", paste0("v", 1:6), rep(c(TRUE, FALSE), 3))
  ))
  out <- screen(sample, 5, rep(FALSE, 6))$exclusions
  expect_same(out$id, c("alone", "easy", "hard", "rare"))
  expect_same(out$reason, c(
    "its learners answered no other item", "all answers are right", "all answers are wrong", "fewer than 5 answers"
  ))
  expect_same(screen(sample, 5, rep(TRUE, 6))$keep, rep(TRUE, 6))
  expect_refusal(require_items(2, FALSE, out), 422L, "3 are needed")
})

test("estimates that are no measurement are left out", {
  estimated <- data.frame(
    item_id = c("fine", "reversed", "flat", "far"), a = c(1, -0.4, 0.01, 1), b = c(0, 0, 0, 12), c = 0, n = 100,
    is_free_a = TRUE, is_free_c = FALSE, has_prior = FALSE, held = FALSE
  )
  out <- judge(estimated, estimated$a, STANDARD_NORMAL)$exclusions
  expect_same(out$id, c("reversed", "flat", "far"))
  expect_same(out$reason[1], "discrimination is negative")
})

free <- data.frame(
  item_id = paste0("Q", 1:8), a = c(0.8, 1, 1.2, 0.9, 1.1, 1.4, 0.7, 1), b = seq(-1.5, 1.5, length.out = 8), c = 0,
  se_a = 0.1, se_b = 0.05, n = 500
)
reference <- transform(free, a = a / 1.3, b = 1.3 * b - 0.4)

test("every method finds the scale that items were put on", {
  for (method in LINKING_METHODS) {
    found <- link(free, reference, method)$constants
    expect_near(c(found$slope, found$intercept), c(1.3, -0.4), 1e-6)
  }
})

test("a drifting anchor is dropped and named", {
  drifted <- reference
  drifted$b <- drifted$b + c(0.02, -0.03, 0, 2, -0.02, 0.01, -0.04, 0.05)
  found <- link(free, drifted, "mean-sigma")
  expect_same(found$dropped$id, "Q4")
  expect_near(found$constants$slope, 1.3, 0.05)
})

test("anchors that carry no scale say why", {
  expect_same(link(free, reference[1, ], "mean-sigma")$reason, "1 usable common items; 2 are needed")
  contradictory <- transform(reference, b = -b)
  expect_same(link(free, contradictory, "mean-sigma")$constants, NULL)
  expect_same(grepl("contradictory", link(free, contradictory, "mean-mean")$reason), TRUE)
})

test("the whole information is minus the second derivative of the log-likelihood and prior", {
  set.seed(7)
  n <- 200
  theta <- stats::rnorm(n)
  truth <- data.frame(a = c(1, 1.5, 0.8), b = c(-0.5, 0, 0.7), c = c(0, 0, 0.2))
  right <- t(curves(truth, theta) > matrix(stats::runif(3 * n), 3)) * 1
  sample <- list(user_ids = seq_len(n), item_ids = 1:3, right = right, wrong = 1 - right)
  items <- cbind(
    truth, n = n, held = FALSE, is_free_a = TRUE, is_free_c = c(FALSE, FALSE, TRUE), has_prior = FALSE, thin = FALSE
  )
  loglik <- function(par) {
    at <- truth
    at$a <- par[1:3]
    at$b <- -par[4:6] / par[1:3]
    at$c[3] <- stats::plogis(par[7])
    grid <- ability_grid(STANDARD_NORMAL)
    log_p <- log_probabilities(at, grid$nodes)
    log_prior <- stats::dnorm(par[7], PRIOR_LOGIT_C[["mean"]], PRIOR_LOGIT_C[["sd"]], log = TRUE)
    log_prior + sum(log(exp(right %*% log_p$right + (1 - right) %*% log_p$wrong) %*% exp(grid$log_weights)))
  }
  start <- c(truth$a, -truth$a * truth$b, stats::qlogis(0.2))
  expected <- -stats::optimHess(start, loglik, control = list(ndeps = rep(1e-4, 7)))
  fit <- list(items = items, prior = STANDARD_NORMAL, free_ability = c(FALSE, FALSE))
  fit$weights <- posterior_weights(right, 1 - right, items, STANDARD_NORMAL)
  slopes <- answer_slopes(items, ability_grid(STANDARD_NORMAL)$nodes)
  free <- free_parameters(items)
  found <- complete_information(sample, fit, slopes, free) - missing_information(sample, fit, slopes, free)
  expect_near(c(found), c(expected), 1e-4)
  own <- own_information(sample, fit, slopes, squares = 0) + prior_curvatures(items)
  block <- own[3, , ] + crossprod(expected_scores(3, sample, fit, slopes))
  expect_near(c(block), c(found[c(3, 6, 7), c(3, 6, 7)]), 1e-6)
})
