# What a calibration answers, in the words of the contract.

SCALE_VERSION <- "v1"

calibration_answer <- function(fit, request, linking, seconds) {
  list(
    status = "ok",
    item_params = item_rows(fit$items, request$model),
    abilities = cbind(fit$abilities, model = request$model, version = SCALE_VERSION, stringsAsFactors = FALSE),
    fit_meta = list(
      run_id = format(Sys.time(), "fit-%Y-%m-%dT%H:%M:%SZ", tz = "UTC"),
      model_spec = model_spec(fit, request, linking),
      metrics = metrics_of(fit, seconds),
      linking_constants = linking$constants
    ),
    exclusions = fit$exclusions
  )
}

item_rows <- function(items, model) {
  rows <- data.frame(item_id = items$item_id, stringsAsFactors = FALSE)
  rows$params <- data.frame(a = items$a, b = items$b, c = items$c)
  rows$se <- data.frame(a = items$se_a, b = items$se_b, c = items$se_c)
  rows$n <- as.integer(items$n)
  rows$model <- rep(model, nrow(items))
  rows$version <- rep(SCALE_VERSION, nrow(items))
  rows
}

model_spec <- function(fit, request, linking) {
  list(
    model = request$model,
    n_items = nrow(fit$items),
    n_users = nrow(fit$abilities),
    n_observations = sum(fit$items$n),
    n_anchors = fit$n_anchors,
    n_blocks = n_blocks(fit$sample),
    error_kind = fit$error_kind,
    theta_mean = fit$prior[["mean"]],
    theta_sd = fit$prior[["sd"]],
    version = SCALE_VERSION,
    reason = linking$reason,
    linking_method = linking$method,
    anchors_dropped = if (is.null(linking)) list() else linking$dropped,
    linking_constants = linking$constants
  )
}

metrics_of <- function(fit, seconds) {
  n_users <- nrow(fit$abilities)
  list(
    aic = 2 * fit$n_parameters - 2 * fit$loglik,
    bic = fit$n_parameters * log(n_users) - 2 * fit$loglik,
    loglik = fit$loglik,
    log_prior = fit$log_prior,
    n_parameters = fit$n_parameters,
    n_iterations = fit$total_iterations,
    converged = fit$converged,
    seconds = round(seconds, 3)
  )
}

# Groups of items that no chain of common learners connects.
n_blocks <- function(sample) {
  together <- crossprod(sample$right + sample$wrong) > 0
  block <- rep(0, ncol(together))
  while (any(block == 0)) {
    number <- max(block) + 1
    reached <- which(block == 0)[1]
    while (length(reached) > 0) {
      block[reached] <- number
      reached <- which(block == 0 & colSums(together[reached, , drop = FALSE]) > 0)
    }
  }
  max(block)
}
