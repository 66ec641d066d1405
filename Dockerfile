# docker build -t bouncer:0.1.0 .
FROM python:3.12-slim-bookworm AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python -m venv /opt/bouncer
# Locked, with hashes, hatchling included: nothing is fetched to build the wheel.
COPY requirements/run.txt requirements/run.txt
RUN /opt/bouncer/bin/pip install --require-hashes --only-binary :all: -r requirements/run.txt
COPY pyproject.toml README.md CHANGELOG.md LICENSE ./
COPY bouncer bouncer
RUN /opt/bouncer/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /opt/bouncer/bin/pip install --no-deps --no-index /wheels/*.whl \
    && /opt/bouncer/bin/pip uninstall --yes hatchling editables pip

FROM python:3.12-slim-bookworm
RUN groupadd --gid 10001 bouncer \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/bouncer \
        --shell /usr/sbin/nologin bouncer \
    && install --directory --owner 10001 --group 10001 --mode 0700 /var/lib/bouncer
COPY --from=builder /opt/bouncer /opt/bouncer
ENV PATH=/opt/bouncer/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /var/lib/bouncer
VOLUME /var/lib/bouncer
# SMTP and HTTP; below 1024 a port would need a capability.
EXPOSE 2525 8025
STOPSIGNAL SIGTERM
# The proxy that Docker may put into the environment is not for the container itself.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "from urllib.request import *; build_opener(ProxyHandler({})).open('http://127.0.0.1:8025/healthz', timeout=4)"]
ENTRYPOINT ["bouncer"]
CMD ["serve"]
