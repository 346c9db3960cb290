# The item response function, P(correct | theta) = c + (1 - c) * logistic(a * (theta - b)), and the posterior of
# ability under it. An `items` table has columns a, b, c; a `prior` is c(mean, sd).

GRID_HALF_WIDTH_SD <- 6
N_NODES <- 61

STANDARD_NORMAL <- c(mean = 0, sd = 1)

# An even grid over mean +/- 6 sd: nodes and log weights, (61).
ability_grid <- function(prior) {
  standard <- seq(-GRID_HALF_WIDTH_SD, GRID_HALF_WIDTH_SD, length.out = N_NODES)
  density <- stats::dnorm(standard)
  list(nodes = prior[["mean"]] + prior[["sd"]] * standard, log_weights = log(density / sum(density)))
}

logits <- function(items, nodes) items$a * outer(-items$b, nodes, `+`)

# Log probabilities of a right and of a wrong answer, each (n_items, n_nodes).
log_probabilities <- function(items, nodes) {
  z <- logits(items, nodes)
  wrong <- log1p(-items$c) + stats::plogis(-z, log.p = TRUE)
  right <- log(items$c + (1 - items$c) * stats::plogis(z))
  no_guessing <- items$c == 0
  right[no_guessing, ] <- stats::plogis(z[no_guessing, ], log.p = TRUE)
  list(right = right, wrong = wrong)
}

# Posterior weights of the nodes, (n_users, n_nodes); `right` and `wrong` count answers, (n_users, n_items).
posterior_weights <- function(right, wrong, items, prior) {
  grid <- ability_grid(prior)
  log_p <- log_probabilities(items, grid$nodes)
  log_posterior <- right %*% log_p$right + wrong %*% log_p$wrong
  log_posterior <- sweep(log_posterior, 2, grid$log_weights, `+`)
  weights <- exp(log_posterior - apply(log_posterior, 1, max))
  weights / rowSums(weights)
}

# Expected a posteriori abilities and the standard deviations of the posteriors (Bock & Mislevy, 1982).
eap <- function(weights, prior) {
  nodes <- ability_grid(prior)$nodes
  theta <- drop(weights %*% nodes)
  variance <- rowSums(weights * outer(theta, nodes, `-`)^2)
  data.frame(theta = theta, se = sqrt(variance))
}

score <- function(request) {
  at <- match(request$answers$item_id, request$items$item_id)
  known <- !is.na(at)
  if (!any(known)) unfittable("no response is to an item of item_params: there is nothing to score")
  items <- request$items[at[known], ]
  right <- as.numeric(request$answers$is_correct[known])
  weights <- posterior_weights(t(right), t(1 - right), items, request$prior)
  found <- eap(weights, request$prior)
  list(status = "ok", theta = found$theta, standard_error = found$se, n_items = sum(known))
}
