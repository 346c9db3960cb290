# Read the service's functions into the global environment; mirt is needed only once a fit begins.

load_service <- function(folder) {
  # Ids are UTF-8 whatever the locale of the machine is.
  Sys.setlocale("LC_CTYPE", "C.UTF-8")
  options(plumber.methodNotAllowed = FALSE, warn = 1)
  files <- c(list.files(file.path(folder, "R"), full.names = TRUE), file.path(folder, "routes.R"))
  for (file in files) source(file, encoding = "UTF-8")
}
