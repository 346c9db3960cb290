# What the environment decides; read once, at start. Names and defaults are those of the embedded service.

SERVICE_NAME <- "r-irt-plumber"
SERVICE_VERSION <- "1.0.0"
MEGABYTE <- 1e6

read_settings <- function() {
  list(
    host = Sys.getenv("HOST", "0.0.0.0"),
    port = whole_number_from("PORT", 8000, most = 65535),
    token = Sys.getenv("R_IRT_INTERNAL_TOKEN"),
    max_body_bytes = whole_number_from("IRT_SERVICE_MAX_BODY_MB", 1024) * MEGABYTE,
    max_fits = whole_number_from("IRT_SERVICE_MAX_FITS", 1),
    max_calibrations = whole_number_from("IRT_SERVICE_MAX_CALIBRATIONS", 4)
  )
}

whole_number_from <- function(name, default, least = 1, most = 1e9) {
  given <- Sys.getenv(name)
  if (given == "") {
    return(default)
  }
  value <- suppressWarnings(as.numeric(given))
  if (is.na(value) || value != floor(value) || value < least || value > most) {
    stop(name, " is ", sQuote(given, FALSE), "; give a whole number from ", least, " to ", most, call. = FALSE)
  }
  value
}
