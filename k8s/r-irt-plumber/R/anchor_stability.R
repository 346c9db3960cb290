# Anchors that drift are dropped, the worst first, by the rule of seedtest/irt/anchor_stability.py.

LARGEST_DISPLACEMENT <- 0.5
LARGEST_Z <- 2.7
LARGEST_ERROR_MULTIPLE <- 3
FEWEST_KEPT <- 5
SMALLEST_SHARE_KEPT <- 0.8
IQR_OF_SD <- 0.74

without_drifting <- function(common, method) {
  fewest <- max(FEWEST_KEPT, ceiling(SMALLEST_SHARE_KEPT * length(common$ids)))
  while (length(common$ids) > fewest && (spread(common$free$b) > 0 || method != "mean-sigma")) {
    constants <- solve_link(common, method)
    if (is.null(constants)) break
    shift <- constants$slope * common$free$b + constants$intercept - common$reference$b
    z <- robust_z(shift)
    # An error that is unknown explains nothing; the anchors' own errors are not known here.
    error <- constants$slope * ifelse(is.na(common$free$se_b), 0, common$free$se_b)
    explained <- abs(shift) <= LARGEST_ERROR_MULTIPLE * error
    drifts <- abs(shift) > LARGEST_DISPLACEMENT & abs(z) > LARGEST_Z & !explained
    if (!any(drifts)) break
    worst <- which.max(abs(z) * drifts)
    reason <- paste0("it drifts by ", signed(shift[worst], 2), " logits (robust z ", signed(z[worst], 1), ")")
    dropped <- exclusion_table("item", common$ids[worst], reason, common$free$n[worst])
    common <- select_common(common, -worst)
    common$dropped <- rbind(common$dropped, dropped)
  }
  common
}

# Distance from the median in robust standard deviations (Huynh & Meyer, 2010); infinite without spread.
robust_z <- function(displacement) {
  quartiles <- stats::quantile(displacement, c(0.25, 0.5, 0.75), names = FALSE)
  distance <- displacement - quartiles[2]
  distance[abs(distance) < 1e-9] <- 0
  ifelse(distance == 0, 0, distance / (IQR_OF_SD * (quartiles[3] - quartiles[1])))
}

signed <- function(x, digits) formatC(x, digits = digits, format = "f", flag = "+")
