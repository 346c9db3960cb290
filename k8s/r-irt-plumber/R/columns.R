# Answers as mirt reads them: a matrix of 0, 1 and NA, and what each of its columns stands for.

# mirt holds one answer a cell. A learner's further answers to an item go into further columns, which the fit
# gives the item's parameters. `item` is NA for padding.
answer_columns <- function(sample, padded) {
  times <- sample$right + sample$wrong
  parts <- lapply(seq_len(max(times)), function(k) {
    items <- which(colSums(times >= k) > 0)
    right <- sample$right[, items, drop = FALSE]
    list(items = items, values = ifelse(times[, items, drop = FALSE] >= k, right >= k, NA) * 1)
  })
  padding <- if (padded) padding_for(rowSums(times)) else times[, 0]
  values <- cbind(do.call(cbind, lapply(parts, `[[`, "values")), padding)
  item <- c(unlist(lapply(parts, `[[`, "items")), rep(NA, ncol(padding)))
  colnames(values) <- paste0("col", seq_along(item))
  list(values = values, item = item, n_padding = sum(!is.na(padding)))
}

# mirt estimates the mean and variance of ability from the answers' posteriors and not the learners': who has more
# answers counts for more. Answers to items of slope 0, right with probability 1/2 whatever the ability, bring
# all learners to the same number and add but a constant to the log-likelihood.
padding_for <- function(n) {
  wanted <- max(n) - n
  ifelse(outer(wanted, seq_len(max(wanted)), `>=`), 0, NA)
}

column_of <- function(values, columns) match(values$item, colnames(columns$values))

# Row of `values` of each item's parameter in its first column; NA where the item's type has none of that name.
rows_of <- function(values, columns, design, name) {
  first <- colnames(columns$values)[match(seq_len(nrow(design)), columns$item)]
  match(paste(first, name), paste(values$item, values$name))
}
