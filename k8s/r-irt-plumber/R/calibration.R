# A calibration: rules, fits until every item left passes them, standard errors, abilities, linking.

calibrate <- function(request) {
  started <- proc.time()[["elapsed"]]
  if (nrow(request$answers) == 0) unfittable("observations is empty: there is nothing to calibrate on")
  anchors <- request$anchors[request$anchors$fixed, ]
  loose <- request$anchors[!request$anchors$fixed, ]
  require_anchors(anchors, request)
  everything <- sample_of(request$answers)
  starts <- all_starts(request$starts, loose, anchors)
  fit <- fit_until_sound(everything, request$model, anchors, starts, request$min_responses)
  fit <- on_standard_scale(with_abilities(fit), request$model)
  linking <- if (nrow(loose) > 0 && nrow(anchors) == 0) link(fit$items, loose, request$linking)
  if (!is.null(linking$constants)) fit <- linked(fit, linking$constants)
  fit$exclusions <- rbind(fit$exclusions, unanswered(everything, fit$sample))
  fit$n_anchors <- if (is.null(linking)) sum(fit$items$held) else length(linking$used_ids)
  calibration_answer(fit, request, linking, proc.time()[["elapsed"]] - started)
}

require_anchors <- function(anchors, request) {
  if (nrow(anchors) == 0) {
    return(invisible())
  }
  if (request$model == "1PL") {
    unfittable("1PL gives all items one discrimination, so it mixes with no fixed anchors; use Rasch")
  }
  if (any(anchors$a <= 0)) {
    unfittable("anchor ", dQuote(anchors$item_id[anchors$a <= 0][1], FALSE), " cannot be held: its a is not above 0")
  }
  if (!any(anchors$item_id %in% request$answers$item_id)) {
    unfittable("none of the ", nrow(anchors), " fixed anchors has an answer: nothing ties the fit to their scale")
  }
}

# Beside held anchors the others are starting values; explicit starts go first.
all_starts <- function(starts, loose, anchors) {
  if (nrow(anchors) == 0) {
    return(starts)
  }
  more <- loose[!loose$item_id %in% starts$item_id, names(starts)]
  rbind(starts, more)
}

fit_until_sound <- function(everything, model, anchors, starts, min_responses) {
  verdict <- screen(everything, min_responses, everything$item_ids %in% anchors$item_id)
  exclusions <- rbind(anchors_without_answers(anchors, everything), verdict$exclusions)
  sample <- everything
  iterations <- 0
  repeat {
    sample <- select_items(sample, verdict$keep)
    anchored <- sample$item_ids %in% anchors$item_id
    require_items(sum(!anchored), any(anchored), exclusions)
    design <- item_design(sample, model, anchors, starts)
    fit <- fit_mirt(sample, design, model)
    iterations <- iterations + fit$n_iterations
    fit$weights <- posterior_weights(sample$right, sample$wrong, fit$items, fit$prior)
    verdict <- judge(fit$items, slopes_by_answers(sample, fit), fit$prior)
    if (all(verdict$keep)) break
    exclusions <- rbind(exclusions, verdict$exclusions)
    starts <- fit$items[, c("item_id", "a", "b", "c")]
  }
  c(with_errors(fit, sample), list(sample = sample, exclusions = exclusions, total_iterations = iterations))
}

anchors_without_answers <- function(anchors, everything) {
  ids <- setdiff(anchors$item_id, everything$item_ids)
  exclusion_table("item", ids, rep("an anchor without answers", length(ids)), rep(0, length(ids)))
}

# Discriminations that one M-step without priors gives: under a prior a stays above 0 whatever the answers say.
slopes_by_answers <- function(sample, fit) {
  nodes <- ability_grid(fit$prior)$nodes
  slopes <- fit$items$a
  for (i in which(fit$items$has_prior)) {
    right <- drop(sample$right[, i] %*% fit$weights)
    wrong <- drop(sample$wrong[, i] %*% fit$weights)
    slopes[i] <- slope_of_curve(fit$items[i, ], right, wrong, nodes)
  }
  slopes
}

# Slope of the curve that fits expected right and wrong answers at the nodes best.
slope_of_curve <- function(item, right, wrong, nodes) {
  minus_loglik <- function(par) {
    c <- if (item$is_free_c) stats::plogis(par[3]) else 0
    s <- stats::plogis(par[1] * nodes + par[2])
    p <- pmin(pmax(c + (1 - c) * s, 1e-300), 1 - 1e-16)
    -sum(right * log(p) + wrong * log1p(-p))
  }
  start <- c(item$a, -item$a * item$b, if (item$is_free_c) stats::qlogis(item$c))
  bound <- c(HIGHEST_DISCRIMINATION, Inf, if (item$is_free_c) HIGHEST_LOGIT_C)
  stats::nlminb(start, minus_loglik, lower = -bound, upper = bound)$par[1]
}

with_abilities <- function(fit) {
  fit$abilities <- cbind(user_id = fit$sample$user_ids, eap(fit$weights, fit$prior), stringsAsFactors = FALSE)
  fit
}

# The 1PL is the Rasch model on the scale of N(0, 1) ability.
on_standard_scale <- function(fit, model) {
  if (model != "1PL") {
    return(fit)
  }
  errors <- common_slope_errors(fit)
  fit <- linked(fit, list(slope = 1 / fit$prior[["sd"]], intercept = 0))
  fit$items$se_a <- rep(errors$a, nrow(fit$items))
  fit$items$se_b <- errors$b
  fit$prior <- STANDARD_NORMAL
  fit
}
