# Which items a calibration leaves out, each for a reason in words: the rules of seedtest/irt/rules.py.

LOWEST_DISCRIMINATION <- 0.05
HIGHEST_DISCRIMINATION <- 10
HIGHEST_LOGIT_C <- 3
LARGEST_DIFFICULTY <- 10
ANSWERS_TO_JUDGE <- 30
MIN_ITEMS <- 3

# Before the fit. Reasons are in order of precedence; anchors are placed already.
screen <- function(sample, min_responses, is_anchor) {
  n <- n_answers(sample)
  right <- colSums(sample$right)
  varied <- (n >= min_responses & right > 0 & right < n) | is_anchor
  reasons <- list(
    n < min_responses,
    right == n,
    right == 0,
    !answered_among_others(sample, varied)
  )
  names(reasons) <- c(
    paste("fewer than", min_responses, "answers"),
    "all answers are right",
    "all answers are wrong",
    "its learners answered no other item"
  )
  verdict(sample$item_ids, n, lapply(reasons, function(applies) applies & !is_anchor))
}

answered_among_others <- function(sample, considered) {
  answered <- sample$right + sample$wrong > 0
  n_considered <- drop(answered %*% considered)
  others <- outer(n_considered, considered, `-`)
  colSums(answered & others > 0) > 0
}

# After the fit: what is no measurement. `items` are the estimates with the columns is_free_a, is_free_c,
# has_prior and held; `slopes` are discriminations that the answers alone give.
judge <- function(items, slopes, prior) {
  thin <- items$has_prior & items$n < ANSWERS_TO_JUDGE
  judged <- ifelse(thin, items$a, pmin(items$a, slopes))
  reach <- LARGEST_DIFFICULTY * max(1, prior[["sd"]])
  reasons <- list(
    "discrimination is negative" = items$is_free_a & judged < 0,
    "discrimination is below 0.05" = items$is_free_a & judged < LOWEST_DISCRIMINATION,
    "discrimination ran off to the bound of 10" = items$is_free_a & items$a >= HIGHEST_DISCRIMINATION,
    "difficulty is beyond \u00b110" = !items$held & abs(items$b - prior[["mean"]]) > reach,
    "lower asymptote ran off to the bound of 0.95" = items$is_free_c & stats::qlogis(items$c) >= HIGHEST_LOGIT_C
  )
  verdict(items$item_id, items$n, reasons)
}

# An item goes for the first of the reasons that applies to it.
verdict <- function(item_ids, n, reasons) {
  faults <- do.call(cbind, reasons)
  faults <- matrix(faults, nrow = length(item_ids))
  out <- which(rowSums(faults) > 0)
  first <- max.col(faults[out, , drop = FALSE] * 1, ties.method = "first")
  list(
    keep = rowSums(faults) == 0,
    exclusions = exclusion_table("item", item_ids[out], names(reasons)[first], n[out])
  )
}

exclusion_table <- function(kind, ids = character(), reasons = character(), n = numeric()) {
  data.frame(
    kind = rep(kind, length(ids)), id = ids, reason = reasons, n = as.integer(n), stringsAsFactors = FALSE
  )
}

# Learners of whose answers none is to a calibrated item.
unanswered <- function(sample, calibrated) {
  left <- !sample$user_ids %in% calibrated$user_ids
  n <- rowSums(sample$right) + rowSums(sample$wrong)
  exclusion_table("user", sample$user_ids[left], rep("no answer to a calibrated item", sum(left)), n[left])
}

require_items <- function(n_left, anchored, exclusions) {
  # With anchors alone the ability distribution is still to be estimated, and every learner's ability.
  if (anchored || n_left >= MIN_ITEMS) {
    return(invisible())
  }
  counts <- sort(table(exclusions$reason), decreasing = TRUE)
  listed <- if (length(counts)) paste0(names(counts), ": ", counts, collapse = "; ") else "none"
  unfittable(
    "no model can be fitted to ", n_left, " usable items; ", MIN_ITEMS, " are needed. Items left out: ", listed
  )
}
