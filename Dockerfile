# web, poller and every other command in one image; the platform chooses the command.
FROM python:3.12-slim

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1
WORKDIR /app

COPY requirements.lock ./
RUN pip install --require-hashes -r requirements.lock

COPY pyproject.toml README.md LICENSE ./
COPY src ./src
COPY sql ./sql
RUN pip install --no-deps . && useradd --system --no-create-home enrich

USER enrich
EXPOSE 8080
CMD ["c2s-enrich", "web"]
