# Start the IRT service: Rscript serve.R, with HOST, PORT, R_IRT_INTERNAL_TOKEN in the environment (see README.md).

service_folder <- function() {
  script <- sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))
  dirname(normalizePath(script[1]))
}

start <- function() {
  # A service that cannot fit should not start.
  loadNamespace("mirt")
  service <- new_service(read_settings())
  routes <- router(service)
  settings <- service$settings
  log_line(
    SERVICE_NAME, " ", SERVICE_VERSION, " with mirt ", format(utils::packageVersion("mirt")), " at ",
    settings$host, ":", settings$port, if (settings$token == "") ", without a token"
  )
  # plumber's own run() refuses every chunked body where a limit is set, so the server is given its router.
  httpuv::runServer(settings$host, settings$port, list(
    call = routes$call, onHeaders = function(req) refuse_declared_length(service, req)
  ))
}

source(file.path(service_folder(), "load.R"))
load_service(service_folder())
start()
