# Fits a 2PL with R's mirt and prints what it took, one line a run:
#   Rscript mirt.R FOLDER N_USERS N_ITEMS BUDGET_SECS [LIBRARY]
# FOLDER holds user.i32, item.i32 and correct.i32, and anchors.csv (item, a, b) where items are held.
# Estimates go to FOLDER/a.f64, b.f64 and ability.f64 (mean and standard deviation).
arguments <- commandArgs(trailingOnly = TRUE)
if (length(arguments) > 4) .libPaths(c(arguments[5], .libPaths()))
suppressPackageStartupMessages(library(mirt))

folder <- arguments[1]
n_users <- as.integer(arguments[2])
n_items <- as.integer(arguments[3])
budget_secs <- as.numeric(arguments[4])
cat("version", as.character(packageVersion("mirt")), as.character(getRversion()), "\n")

numbers <- function(name) {
  file <- file.path(folder, name)
  readBin(file, "integer", n = file.size(file) / 4, size = 4)
}
answers <- matrix(NA_integer_, n_users, n_items)
answers[cbind(numbers("user.i32") + 1, numbers("item.i32") + 1)] <- numbers("correct.i32")
colnames(answers) <- paste0("q", seq_len(n_items))

# One thread: mirt's parallel E-step is the exception, not what its users get by default.
fitted <- function(data, pars = NULL) {
  mirt(data, 1, itemtype = "2PL", pars = pars, TOL = 1e-4, quadpts = 61, SE = FALSE, verbose = FALSE,
       technical = list(NCYCLES = 2000, theta_lim = c(-6, 6)))
}

held <- NULL
anchor_file <- file.path(folder, "anchors.csv")
if (file.exists(anchor_file)) {
  anchors <- read.csv(anchor_file)
  held <- mirt(answers, 1, itemtype = "2PL", pars = "values", quadpts = 61,
               technical = list(theta_lim = c(-6, 6)))
  for (row in seq_len(nrow(anchors))) {
    of_item <- held$item == colnames(answers)[anchors$item[row] + 1]
    held$value[of_item & held$name == "a1"] <- anchors$a[row]
    held$value[of_item & held$name == "d"] <- -anchors$a[row] * anchors$b[row]
    held$est[of_item] <- FALSE
  }
  held$est[held$name %in% c("MEAN_1", "COV_11")] <- TRUE
}

# What is loaded or compiled on first use is not counted.
set.seed(1)
warm_up <- fitted(matrix(rbinom(1000, 1, 0.5), 200, dimnames = list(NULL, paste0("w", 1:5))))
spent <- 0
for (run in 1:5) {
  seconds <- system.time(fit <- fitted(answers, held))[["elapsed"]]
  cat("run", seconds, extract.mirt(fit, "iterations"), "\n")
  spent <- spent + seconds
  if (spent + seconds > budget_secs) break
}

found <- coef(fit, simplify = TRUE)
writeBin(unname(found$items[, "a1"]), file.path(folder, "a.f64"))
writeBin(unname(-found$items[, "d"] / found$items[, "a1"]), file.path(folder, "b.f64"))
writeBin(c(unname(found$means[1]), sqrt(found$cov[1, 1])), file.path(folder, "ability.f64"))
