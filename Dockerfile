# The service: packages by hash, a user that is not root; amd64 and arm64. docker-compose.yml runs it.
FROM python:3.13-slim-bookworm AS packages
COPY requirements.txt /tmp/requirements.txt
RUN python -m venv /opt/packages \
    && /opt/packages/bin/python -m pip install --no-cache-dir --no-deps --require-hashes -r /tmp/requirements.txt

FROM python:3.13-slim-bookworm
ENV PATH=/opt/packages/bin:$PATH PYTHONUNBUFFERED=1
COPY --from=packages /opt/packages /opt/packages
WORKDIR /srv/undervolt
COPY LICENSE alembic.ini ./
COPY migrations migrations
COPY scripts scripts
COPY data data
COPY app app
RUN useradd --system --uid 10001 --no-create-home undervolt
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/live', timeout=2)"]
# The access log would hold the coordinates that callers send.
CMD ["python", "-m", "uvicorn", "--factory", "app.main:create_app_from_environment", "--host", "0.0.0.0", "--port", "8000", "--no-access-log", "--timeout-graceful-shutdown", "5"]
