# One image for every process; the platform chooses the command.
# `make pin-base` writes the digest behind the tag where a registry of images can be read.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends binutils \
 && python3 -m venv /app && python3 -m venv tools
COPY requirements.lock requirements-build.lock ./
RUN /app/bin/pip install --require-hashes --no-compile -r requirements.lock \
 && tools/bin/pip install --require-hashes --no-compile -r requirements-build.lock
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY src ./src
COPY sql ./sql
# The wheel is built without a network and without isolation: every tool is in the lock. Debug
# symbols are half of what compiled packages weigh; pygments' bytecode is never read.
RUN tools/bin/hatchling build -t wheel \
 && /app/bin/pip install --no-deps --no-index --no-compile dist/*.whl \
 && /app/bin/pip uninstall --yes --quiet pip setuptools \
 && find /app -name '*.so*' -type f -exec strip --strip-unneeded {} + \
 && find /app -name '*.pyx' -delete \
 && /app/bin/python -m compileall -q -j 0 -x pygments /app/lib

FROM ${BASE}
ARG REVISION=unknown
LABEL org.opencontainers.image.title="c2s-enrich" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.revision="${REVISION}"
ENV PATH="/app/bin:$PATH" PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    REVISION="${REVISION}"
COPY --from=build /app /app
# A number, so that a platform which forbids root can see that it is not root. Nothing is written:
# the root file system may be read-only.
USER 10001:10001
EXPOSE 8080 9091
CMD ["c2s-enrich", "web"]
