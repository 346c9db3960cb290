# Answers as matrices: which learner got which item right, and how often.

# Ids are sorted as bytes, so that the order does not depend on the locale or on the order of the answers.
sorted_ids <- function(ids) sort(unique(ids), method = "radix")

# A sample: the ids, and right and wrong answers counted, each (n_users, n_items).
sample_of <- function(answers) {
  users <- sorted_ids(answers$user_id)
  items <- sorted_ids(answers$item_id)
  cell <- match(answers$user_id, users) + length(users) * (match(answers$item_id, items) - 1)
  counted <- function(cells) {
    matrix(tabulate(cells, length(users) * length(items)), length(users), length(items))
  }
  list(
    user_ids = users,
    item_ids = items,
    right = counted(cell[answers$is_correct]),
    wrong = counted(cell[!answers$is_correct])
  )
}

# Only these items, and the learners who answered any of them.
select_items <- function(sample, keep) {
  right <- sample$right[, keep, drop = FALSE]
  wrong <- sample$wrong[, keep, drop = FALSE]
  answered <- rowSums(right) + rowSums(wrong) > 0
  list(
    user_ids = sample$user_ids[answered],
    item_ids = sample$item_ids[keep],
    right = right[answered, , drop = FALSE],
    wrong = wrong[answered, , drop = FALSE]
  )
}

n_answers <- function(sample) colSums(sample$right) + colSums(sample$wrong)
