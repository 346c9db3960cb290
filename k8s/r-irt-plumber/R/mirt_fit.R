# One fit by mirt (Chalmers, 2012): what is estimated, what is held, and the priors, laid out as mirt reads them.

NODE_STEP <- 2 * GRID_HALF_WIDTH_SD / (N_NODES - 1)
TOLERANCE <- 1e-6
# Relative to the expected log-likelihood of all items. At optim's default of 1.5e-8 an M-step near the maximum
# does not move at all, and the fit is taken for converged.
MSTEP_TOLERANCE <- 1e-10
MAX_ITERATIONS <- 2000
THIN_BELOW <- 250
START_C <- 0.15

# Priors of seedtest/irt/priors.py: of a and b of items with fewer than 250 answers, of a and c of 3PL items.
PRIOR_LOG_A <- c(mean = 0.25, sd = 0.5)
PRIOR_B <- c(mean = 0, sd = 2)
PRIOR_LOGIT_C <- c(mean = log(0.2 / 0.8), sd = 0.7)

# What is estimated of each item. `anchors` are held, `starts` are where others begin; both by item_id.
item_design <- function(sample, model, anchors, starts) {
  n <- n_answers(sample)
  at <- match(sample$item_ids, anchors$item_id)
  held <- !is.na(at)
  free <- !held
  thin <- free & n < THIN_BELOW & model %in% c("2PL", "3PL")
  design <- data.frame(
    item_id = sample$item_ids, n = n, held = held,
    is_free_a = free & model %in% c("2PL", "3PL"),
    is_free_c = free & model == "3PL",
    has_prior = thin | (free & model == "3PL"),
    thin = thin,
    stringsAsFactors = FALSE
  )
  with_starts(design, sample, starts, anchors[at, ])
}

with_starts <- function(design, sample, starts, anchors) {
  share <- (colSums(sample$right) + 0.5) / (design$n + 1)
  beyond <- pmax((share - START_C) / (1 - START_C), 0.02)
  design$a <- rep(1, nrow(design))
  design$b <- -stats::qlogis(ifelse(design$is_free_c, beyond, share))
  design$c <- ifelse(design$is_free_c, START_C, 0)
  at <- match(design$item_id, starts$item_id)
  known <- !is.na(at) & design$is_free_a & plausible(starts[at, ])
  design[known, c("a", "b")] <- starts[at[known], c("a", "b")]
  guessed <- known & design$is_free_c & starts$c[at] > 0
  design$c[guessed] <- starts$c[at[guessed]]
  design[design$held, c("a", "b", "c")] <- anchors[design$held, c("a", "b", "c")]
  design
}

plausible <- function(items) {
  items$a >= LOWEST_DISCRIMINATION & items$a < HIGHEST_DISCRIMINATION & abs(items$b) <= LARGEST_DIFFICULTY
}

# Whether mean and sd of ability are estimated: both beside anchors, the sd of a Rasch model.
free_ability <- function(design, model) {
  anchored <- any(design$held)
  c(anchored, anchored || !model %in% c("2PL", "3PL"))
}

# Without anchors a Rasch model is fitted with one slope for all items and ability N(0, 1): the slope is the
# sd of ability when slopes are 1.
has_common_slope <- function(design) !any(design$held) && !any(design$is_free_a)

# mirt has no prior on b = -d/a, so items that need one are estimated in a and b themselves.
type_of <- function(design) {
  guessing <- design$is_free_c | design$c > 0
  ifelse(design$thin, ifelse(guessing, "thin3PL", "thin2PL"), ifelse(guessing, "3PL", "2PL"))
}

thin_item <- function(name, guessing) {
  probability <- function(par, Theta, ncat) {
    c <- if (guessing) stats::plogis(par[3]) else 0
    right <- c + (1 - c) * stats::plogis(par[1] * (Theta[, 1] - par[2]))
    cbind(1 - right, right)
  }
  par <- c(a = 1, b = 0, if (guessing) c(logit_c = 0))
  mirt::createItem(name, par = par, est = rep(TRUE, length(par)), P = probability, gr = thin_gradient(guessing))
}

# Gradient of the expected log-likelihood, from the expected wrong and right answers at the nodes in x@dat, and
# of the log prior.
thin_gradient <- function(guessing) {
  function(x, Theta) {
    par <- x@par
    s <- stats::plogis(par[1] * (Theta[, 1] - par[2]))
    c <- if (guessing) stats::plogis(par[3]) else 0
    right <- c + (1 - c) * s
    by_z <- x@dat[, 2] * (1 - c) * s * (1 - s) / right - x@dat[, 1] * s
    by_c <- x@dat[, 2] * c * (1 - c) * (1 - s) / right - x@dat[, 1] * c
    gradient <- c(sum(by_z * (Theta[, 1] - par[2])), -par[1] * sum(by_z), if (guessing) sum(by_c))
    if (x@any.prior) gradient + thin_prior_gradient(x) else gradient
  }
}

# Priors as mirt holds them: type 1 is normal, 2 lognormal; their two numbers.
thin_prior_gradient <- function(x) {
  par <- x@par
  distance <- (par - x@prior_1) / x@prior_2^2
  a <- max(par[1], 1e-10)
  lognormal <- -(log(a) - x@prior_1[1]) / (x@prior_2[1]^2 * a) - 1 / a
  c(if (x@prior.type[1] == 2) lognormal else -distance[1], -distance[-1])
}

# The table of parameters that mirt starts from, filled from the design of each column.
fill_values <- function(values, design, columns) {
  column <- column_of(values, columns)
  item <- columns$item[column]
  first <- !duplicated(paste(item, values$name))
  set <- function(values, name, value, est, prior = NULL) {
    rows <- which(values$name == name & !is.na(item))
    values$value[rows] <- value[item[rows]]
    values$est[rows] <- est[item[rows]]
    given <- if (is.null(prior)) integer() else rows[prior$on[item[rows]] & first[rows]]
    values$prior.type[given] <- prior$type
    values$prior_1[given] <- prior$values[[1]]
    values$prior_2[given] <- prior$values[[2]]
    values
  }
  log_a <- list(on = design$has_prior, type = "lnorm", values = PRIOR_LOG_A)
  b <- list(on = design$thin, type = "norm", values = PRIOR_B)
  logit_c <- list(on = design$is_free_c, type = "norm", values = PRIOR_LOGIT_C)
  values <- set(values, "a1", design$a, design$is_free_a | has_common_slope(design), log_a)
  values <- set(values, "d", -design$a * design$b, !design$held)
  values <- set(values, "g", design$c, design$is_free_c, logit_c)
  values <- set(values, "a", design$a, design$is_free_a, log_a)
  values <- set(values, "b", design$b, !design$held, b)
  values <- set(values, "logit_c", stats::qlogis(design$c), design$is_free_c, logit_c)
  padding <- !is.na(column) & is.na(item)
  values$value[padding & values$name %in% c("a1", "d")] <- 0
  values$est[padding] <- FALSE
  values$est[values$name %in% c("MEAN_1", "COV_11")] <- any(design$held)
  values
}

# Columns of one item share its parameters, and items of a common slope that.
shared_parameters <- function(values, columns, design) {
  owner <- paste(columns$item[column_of(values, columns)], values$name)
  if (has_common_slope(design)) owner[values$name == "a1"] <- "a1"
  groups <- split(values$parnum[values$est], owner[values$est])
  unname(groups[lengths(groups) > 1])
}

# Fit, and where the ability found reaches beyond the grid, fit again on a wider one.
fit_mirt <- function(sample, design, model) {
  columns <- answer_columns(sample, padded = any(design$held))
  half_width <- GRID_HALF_WIDTH_SD
  iterations <- 0
  repeat {
    fit <- read_fit(run_mirt(columns, design, half_width), columns, design)
    iterations <- iterations + fit$n_iterations
    reach <- abs(fit$prior[["mean"]]) + GRID_HALF_WIDTH_SD * fit$prior[["sd"]]
    if (has_common_slope(design) || reach <= half_width + NODE_STEP) break
    half_width <- NODE_STEP * ceiling(reach / NODE_STEP)
    design[c("a", "b", "c")] <- fit$items[c("a", "b", "c")]
  }
  fit$n_iterations <- iterations
  fit$free_ability <- free_ability(design, model)
  fit
}

run_mirt <- function(columns, design, half_width) {
  call_mirt <- mirt_caller(columns, design, half_width)
  values <- fill_values(call_mirt(pars = "values"), design, columns)
  call_mirt(pars = values, constrain = shared_parameters(values, columns, design))
}

# mirt on these answers; the function takes what differs from call to call.
mirt_caller <- function(columns, design, half_width) {
  custom <- list(thin2PL = thin_item("thin2PL", FALSE), thin3PL = thin_item("thin3PL", TRUE))
  types <- type_of(design)[columns$item]
  types[is.na(types)] <- "2PL"
  function(...) {
    suppressWarnings(mirt::mirt(
      columns$values, 1,
      itemtype = types,
      customItems = if (any(types %in% names(custom))) custom[intersect(names(custom), types)],
      quadpts = round(2 * half_width / NODE_STEP) + 1,
      TOL = TOLERANCE,
      technical = list(
        NCYCLES = MAX_ITERATIONS, theta_lim = c(-1, 1) * half_width,
        customK = rep(2L, ncol(columns$values)), message = FALSE, warn = FALSE
      ),
      control = list(reltol = MSTEP_TOLERANCE), calcNull = FALSE, verbose = FALSE,
      ...
    ))
  }
}

# Estimates on the scale of the fit, item by item, and what mirt says of the fit.
read_fit <- function(model, columns, design) {
  values <- mirt::mod2values(model)
  of_group <- function(name) values$value[values$name == name]
  fit <- list(
    items = estimates(values, columns, design),
    prior = c(mean = of_group("MEAN_1"), sd = sqrt(of_group("COV_11"))),
    loglik = mirt::extract.mirt(model, "logLik") + columns$n_padding * log(2),
    log_prior = mirt::extract.mirt(model, "logPrior"),
    n_parameters = mirt::extract.mirt(model, "nest"),
    n_iterations = mirt::extract.mirt(model, "iterations"),
    converged = mirt::extract.mirt(model, "converged")
  )
  if (has_common_slope(design)) on_slope_one(fit) else fit
}

estimates <- function(values, columns, design) {
  value <- function(name) values$value[rows_of(values, columns, design, name)]
  a <- ifelse(design$thin, value("a"), value("a1"))
  design$b <- ifelse(design$thin, value("b"), -value("d") / a)
  design$a <- a
  c <- ifelse(design$thin, stats::plogis(value("logit_c")), value("g"))
  design$c <- ifelse(is.na(c), 0, c)
  design
}

on_slope_one <- function(fit) {
  slope <- fit$items$a[1]
  fit$prior[["sd"]] <- slope
  fit$items$b <- fit$items$b * slope
  fit$items$a <- rep(1, nrow(fit$items))
  fit
}
