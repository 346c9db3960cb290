# Standard errors of a, b and c from the observed information (Louis, 1982): all of it, or, where that would take
# too long, each item's own block.
#
# They are not mirt's. Its Hessian of a lognormal prior has one sign wrong, and with missing answers it weighs the
# ability distribution by answers instead of learners (mirt 1.41 to 1.47). Where neither matters, Oakes' method in
# mirt gives the same.

LARGEST_SHARE_FOR_BLOCKS <- 0.1
MOST_PRODUCTS <- 5e10

# Items with se_a, se_b, se_c, and `error_kind`: "full" or "block".
with_errors <- function(fit, sample) {
  curves <- answer_slopes(fit$items, ability_grid(fit$prior)$nodes)
  found <- if (wants_full(sample, fit)) full_covariances(sample, fit, curves)
  fit$error_kind <- if (is.null(found)) "block" else "full"
  if (is.null(found)) found <- block_covariances(sample, fit, curves)
  fit$items <- parameter_errors(fit$items, found$blocks)
  fit$spread <- found$spread
  fit
}

# What a block leaves out matters for an item that more than a tenth of the learners answered.
wants_full <- function(sample, fit) {
  n_users <- length(sample$user_ids)
  products <- n_users * N_NODES * fit$n_parameters^2
  products <= MOST_PRODUCTS && max(fit$items$n) > LARGEST_SHARE_FOR_BLOCKS * n_users
}

# Which of slope, intercept and logit c are estimated, (n_items, 3).
free_parameters <- function(items) cbind(items$is_free_a, !items$held, items$is_free_c)

# Derivatives of log P and log Q by the logit z and by logit c, each (n_items, n_nodes).
answer_slopes <- function(items, nodes) {
  s <- stats::plogis(logits(items, nodes))
  p <- items$c + (1 - items$c) * s
  c <- matrix(items$c, nrow(items), length(nodes))
  list(
    nodes = nodes, s = s, c = c,
    right_z = (1 - items$c) * s * (1 - s) / p, wrong_z = -s,
    right_c = items$c * (1 - items$c) * (1 - s) / p, wrong_c = -c
  )
}

# Expected minus second derivatives of the answers' log probabilities, (n_items, 3, 3); `squares` adds those parts
# that are squares of first derivatives.
own_information <- function(sample, fit, curves, squares) {
  right <- crossprod(sample$right, fit$weights)
  wrong <- crossprod(sample$wrong, fit$weights)
  both <- function(f) right * f(curves$right_z, curves$right_c) + wrong * f(curves$wrong_z, curves$wrong_c)
  zz <- both(function(z, c) squares * z^2 - z * (1 - 2 * curves$s))
  zc <- both(function(z, c) squares * z * c + z * curves$c)
  cc <- both(function(z, c) squares * c^2 - c * (1 - 2 * curves$c))
  x <- curves$nodes
  parts <- cbind(zz %*% x^2, zz %*% x, zc %*% x, zz %*% x, rowSums(zz), rowSums(zc), zc %*% x, rowSums(zc), rowSums(cc))
  array(parts, c(nrow(fit$items), 3, 3))
}

# Covariances of each item's slope, intercept and logit c: `blocks`, a list of 3 x 3 matrices with 0 where held; and
# of a Rasch model's `spread`. NULL where the information is singular.
full_covariances <- function(sample, fit, curves) {
  free <- free_parameters(fit$items)
  at <- which(free)
  information <- complete_information(sample, fit, curves, free) - missing_information(sample, fit, curves, free)
  covariance <- tryCatch(chol2inv(chol(information)), error = function(e) NULL)
  if (is.null(covariance)) {
    return(NULL)
  }
  blocks <- lapply(seq_len(nrow(free)), function(i) {
    mine <- match(i + (which(free[i, ]) - 1) * nrow(free), at)
    block <- matrix(0, 3, 3)
    block[free[i, ], free[i, ]] <- covariance[mine, mine]
    block
  })
  log_sd <- nrow(covariance)
  spread <- if (is_rasch(fit)) list(variance = covariance[log_sd, log_sd], with_items = covariance[-log_sd, log_sd])
  list(blocks = blocks, spread = spread)
}

# A Rasch model without anchors: of ability the sd alone is free.
is_rasch <- function(fit) !fit$free_ability[1] && fit$free_ability[2]

# Information if abilities were known, and the priors'; the free parameters of items, then those of ability.
complete_information <- function(sample, fit, curves, free) {
  n_items <- nrow(free)
  at <- which(free)
  item <- (at - 1) %% n_items + 1
  part <- (at - 1) %/% n_items + 1
  own <- own_information(sample, fit, curves, squares = 1) + prior_curvatures(fit$items)
  same <- outer(item, item, `==`)
  pairs <- which(same, arr.ind = TRUE)
  information <- matrix(0, length(at), length(at))
  information[pairs] <- own[cbind(item[pairs[, 1]], part[pairs[, 1]], part[pairs[, 2]])]
  with_ability(information, fit, curves$nodes)
}

with_ability <- function(information, fit, nodes) {
  sd <- fit$prior[["sd"]]
  z <- (nodes - fit$prior[["mean"]]) / sd
  mass <- colSums(fit$weights)
  by_ability <- matrix(c(sum(mass) / sd^2, sum(2 * mass * z) / sd, sum(2 * mass * z) / sd, sum(2 * mass * z^2)), 2)
  n <- nrow(information)
  whole <- matrix(0, n + 2, n + 2)
  whole[seq_len(n), seq_len(n)] <- information
  whole[n + 1:2, n + 1:2] <- by_ability
  keep <- c(rep(TRUE, n), fit$free_ability)
  whole[keep, keep]
}

# Variances of the learners' complete-data scores under their posteriors, summed.
missing_information <- function(sample, fit, curves, free) {
  products <- 0
  means <- 0
  for (k in seq_along(curves$nodes)) {
    scores <- scores_at(k, sample, fit, curves, free)
    products <- products + crossprod(scores * sqrt(fit$weights[, k]))
    means <- means + scores * fit$weights[, k]
  }
  products - crossprod(means)
}

# Scores of all learners if their ability were the node, (n_users, n_parameters).
scores_at <- function(k, sample, fit, curves, free) {
  of_items <- function(right, wrong, free) {
    columns <- which(free)
    sweep(sample$right[, columns, drop = FALSE], 2, right[columns, k], `*`) +
      sweep(sample$wrong[, columns, drop = FALSE], 2, wrong[columns, k], `*`)
  }
  z <- (curves$nodes[k] - fit$prior[["mean"]]) / fit$prior[["sd"]]
  ability <- c(z / fit$prior[["sd"]], z^2 - 1)[fit$free_ability]
  cbind(
    of_items(curves$right_z, curves$wrong_z, free[, 1]) * curves$nodes[k],
    of_items(curves$right_z, curves$wrong_z, free[, 2]),
    of_items(curves$right_c, curves$wrong_c, free[, 3]),
    matrix(ability, nrow(sample$right), length(ability), byrow = TRUE)
  )
}

# The same from each item's own block, other items held.
block_covariances <- function(sample, fit, curves) {
  own <- own_information(sample, fit, curves, squares = 0) + prior_curvatures(fit$items)
  free <- free_parameters(fit$items)
  blocks <- lapply(seq_len(nrow(free)), function(i) {
    information <- own[i, , ] + crossprod(expected_scores(i, sample, fit, curves))
    block <- matrix(0, 3, 3)
    if (any(free[i, ])) block[free[i, ], free[i, ]] <- inverse_or_na(information[free[i, ], free[i, ], drop = FALSE])
    block
  })
  if (is_rasch(fit)) with_spread(blocks, sample, fit, curves) else list(blocks = blocks)
}

# The blocks of a Rasch model with the free sd of ability added: only what is between two items is left out. With D
# the information about an intercept, h that between it and log sd, and H about log sd, all others held:
# Var(log sd) = 1 / (H - sum(h^2 / D)), Cov(d, log sd) = -h / D * Var(log sd), Var(d) = 1 / D + (h / D)^2 * Var(log sd).
with_spread <- function(blocks, sample, fit, curves) {
  information <- spread_information(sample, fit, curves)
  held <- -vapply(blocks, function(block) block[2, 2], 0) * information$with_items
  left <- information$own + sum(held * information$with_items)
  variance <- if (is.finite(left) && left > 0) 1 / left else NA_real_
  blocks <- Map(function(block, h) {
    block[2, 2] <- block[2, 2] + h^2 * variance
    block
  }, blocks, held)
  list(blocks = blocks, spread = list(variance = variance, with_items = held * variance))
}

spread_information <- function(sample, fit, curves) {
  z <- (curves$nodes - fit$prior[["mean"]]) / fit$prior[["sd"]]
  score <- z^2 - 1
  mean_score <- drop(fit$weights %*% score)
  own <- sum(fit$weights %*% (2 * z^2)) - sum(fit$weights %*% score^2) + sum(mean_score^2)
  answered <- function(weights) {
    crossprod(sample$right, weights) * curves$right_z + crossprod(sample$wrong, weights) * curves$wrong_z
  }
  products <- drop(answered(fit$weights) %*% score)
  list(own = own, with_items = rowSums(answered(fit$weights * mean_score)) - products)
}

# Posterior means of the scores of those who answered an item, (n_answerers, 3).
expected_scores <- function(i, sample, fit, curves) {
  answerers <- which(sample$right[, i] + sample$wrong[, i] > 0)
  right <- sample$right[answerers, i]
  wrong <- sample$wrong[answerers, i]
  slopes <- function(z, c) cbind(z * curves$nodes, z, c)
  weights <- fit$weights[answerers, , drop = FALSE]
  right * weights %*% slopes(curves$right_z[i, ], curves$right_c[i, ]) +
    wrong * weights %*% slopes(curves$wrong_z[i, ], curves$wrong_c[i, ])
}

# Minus the second derivatives of the log priors, (n_items, 3, 3); b = -d/a has a prior where items are thin.
prior_curvatures <- function(items) {
  curvatures <- array(0, c(nrow(items), 3, 3))
  deviation <- log(items$a) - PRIOR_LOG_A[["mean"]]
  by_a <- ifelse(items$has_prior, ((1 - deviation) / PRIOR_LOG_A[["sd"]]^2 - 1) / items$a^2, 0)
  by_b <- ifelse(items$thin, 1 / (items$a * PRIOR_B[["sd"]])^2, 0)
  off <- items$b - PRIOR_B[["mean"]]
  curvatures[, 1, 1] <- by_a + by_b * (items$b^2 + 2 * off * items$b)
  curvatures[, 1, 2] <- curvatures[, 2, 1] <- by_b * (items$b + off)
  curvatures[, 2, 2] <- by_b
  curvatures[, 3, 3] <- items$is_free_c / PRIOR_LOGIT_C[["sd"]]^2
  curvatures
}

inverse_or_na <- function(information) {
  tryCatch(
    chol2inv(chol(information)),
    error = function(e) matrix(NA_real_, nrow(information), ncol(information))
  )
}

# Standard errors of a, b = -d/a and c; those of b and c by the delta method.
parameter_errors <- function(items, covariances) {
  variance <- function(weights) {
    vapply(seq_len(nrow(items)), function(i) drop(weights[i, ] %*% covariances[[i]] %*% weights[i, ]), 0)
  }
  n <- nrow(items)
  by_a <- matrix(c(1, 0, 0), n, 3, byrow = TRUE)
  by_b <- cbind(-items$b / items$a, -1 / items$a, 0)
  by_c <- cbind(0, 0, items$c * (1 - items$c))
  items$se_a <- sqrt(ifelse(items$is_free_a, variance(by_a), NA))
  items$se_b <- sqrt(ifelse(items$held, NA, variance(by_b)))
  items$se_c <- sqrt(ifelse(items$is_free_c, variance(by_c), NA))
  items
}

# Standard errors of a Rasch fit told as a 1PL, a = sd for all items, b' = b / sd = -d / sd: those of a and b'.
common_slope_errors <- function(fit) {
  sd <- fit$prior[["sd"]]
  d <- -fit$items$b
  variance <- fit$items$se_b^2 + d^2 * fit$spread$variance - 2 * d * fit$spread$with_items
  list(a = sd * sqrt(fit$spread$variance), b = sqrt(variance) / sd)
}
