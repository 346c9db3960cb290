# Putting a free fit on the scale of anchors, theta' = A * theta + B (Kolen & Brennan, 2014, ch. 6), by the rules
# of seedtest/irt/linking.py.

MIN_COMMON_ITEMS <- 2
LOWEST_CORRELATION <- 0.5
LOWEST_CORRELATION_OF_CHOSEN <- 0.9
LARGEST_STRETCH <- 5

# Constants (NULL where there are none, with the reason), the anchors used, and those dropped.
link <- function(items, anchors, method) {
  common <- common_items(items, anchors)
  if (length(common$ids) < MIN_COMMON_ITEMS) {
    reason <- paste0(length(common$ids), " usable common items; ", MIN_COMMON_ITEMS, " are needed")
    return(list(method = method, reason = reason, used_ids = common$ids, dropped = common$dropped))
  }
  stable <- without_drifting(common, method)
  drifted <- nrow(stable$dropped) > nrow(common$dropped)
  reason <- disagreement(stable, method, if (drifted) LOWEST_CORRELATION_OF_CHOSEN else LOWEST_CORRELATION)
  constants <- if (is.null(reason)) solve_link(stable, method)
  if (is.null(reason)) reason <- senseless(constants)
  list(
    constants = if (is.null(reason)) constants, method = method, reason = reason,
    used_ids = stable$ids, dropped = stable$dropped
  )
}

# Items on both scales, in the same order; what is not finite with a > 0 on both sides is dropped.
common_items <- function(items, anchors) {
  at <- match(items$item_id, anchors$item_id)
  free <- items[!is.na(at), ]
  reference <- anchors[at[!is.na(at)], ]
  free_ok <- is.finite(free$a) & is.finite(free$b) & free$a > 0
  usable <- free_ok & reference$a > 0
  side <- ifelse(free_ok, "reference", "estimated")[!usable]
  reasons <- paste0("its ", side, " parameters are not finite with a > 0", recycle0 = TRUE)
  list(
    ids = free$item_id[usable], free = free[usable, ], reference = reference[usable, ],
    dropped = exclusion_table("item", free$item_id[!usable], reasons, free$n[!usable])
  )
}

select_common <- function(common, keep) {
  list(
    ids = common$ids[keep], free = common$free[keep, ], reference = common$reference[keep, ],
    dropped = common$dropped
  )
}

spread <- function(x) diff(range(x))

disagreement <- function(common, method, lowest) {
  if (min(spread(common$free$b), spread(common$reference$b)) == 0) {
    return(if (method == "mean-sigma") "the common items have no spread of difficulty")
  }
  correlation <- stats::cor(common$free$b, common$reference$b)
  if (correlation >= lowest) {
    return(NULL)
  }
  paste0(
    "contradictory common items: the difficulties of ", length(common$ids), " correlate ",
    formatC(correlation, digits = 2, format = "f"), " with the reference, below ", lowest
  )
}

senseless <- function(constants) {
  if (is.null(constants)) {
    return("no slope is found: the curves do not meet")
  }
  if (constants$slope >= 1 / LARGEST_STRETCH && constants$slope <= LARGEST_STRETCH) {
    return(NULL)
  }
  paste0("slope ", signif(constants$slope, 3), " lies outside [1/", LARGEST_STRETCH, ", ", LARGEST_STRETCH, "]")
}

# Constants, without asking whether they make sense; NULL where there is no slope above 0.
solve_link <- function(common, method) {
  if (method == "mean-sigma") {
    return(with_intercept(common, root_mean_square(common$reference$b) / root_mean_square(common$free$b)))
  }
  near <- with_intercept(common, mean(common$free$a) / mean(common$reference$a))
  if (method == "mean-mean") near else link_curves(common, near, method == "stocking-lord")
}

root_mean_square <- function(x) sqrt(mean((x - mean(x))^2))

with_intercept <- function(common, slope) {
  list(slope = slope, intercept = mean(common$reference$b) - slope * mean(common$free$b))
}

# Haebara (1980): the squared distances of the items' curves; Stocking & Lord (1983): of the test's curve.
link_curves <- function(common, start, of_the_test) {
  grid <- ability_grid(STANDARD_NORMAL)
  reference <- curves(common$reference, grid$nodes)
  distance <- function(par) {
    moved <- common$free
    moved$a <- common$free$a / par[1]
    moved$b <- par[1] * common$free$b + par[2]
    difference <- curves(moved, grid$nodes) - reference
    squares <- if (of_the_test) colSums(difference)^2 else colSums(difference^2)
    sum(exp(grid$log_weights) * squares)
  }
  found <- stats::nlminb(
    c(start$slope, start$intercept), distance,
    lower = c(1e-3, -Inf), control = list(rel.tol = 1e-14, x.tol = 1e-10, iter.max = 500, eval.max = 1000)
  )
  if (found$par[1] > 1e-3) list(slope = found$par[1], intercept = found$par[2])
}

curves <- function(items, nodes) items$c + (1 - items$c) * stats::plogis(logits(items, nodes))

linked <- function(fit, constants) {
  slope <- constants$slope
  fit$items$a <- fit$items$a / slope
  fit$items$b <- slope * fit$items$b + constants$intercept
  fit$items$se_a <- fit$items$se_a / abs(slope)
  fit$items$se_b <- fit$items$se_b * abs(slope)
  fit$abilities$theta <- slope * fit$abilities$theta + constants$intercept
  fit$abilities$se <- fit$abilities$se * abs(slope)
  fit$prior <- c(mean = slope * fit$prior[["mean"]] + constants$intercept, sd = fit$prior[["sd"]] * abs(slope))
  fit
}
