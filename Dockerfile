# Every image of docker-compose.yml, by its target: api, worker, sandpiper (migrate, the offline model, tools) and daytona
# (local sandboxes). No BuildKit is needed; where there is one, only what a target needs is built.

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ENV CGO_ENABLED=0
RUN go build -buildvcs=false -trimpath -ldflags="-s -w" -o /out/ ./cmd/... && mkdir /data

# What the three images of one static program and nothing else have in common: no shell, no package, nobody's root.
FROM scratch AS static
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/sandpiper /usr/local/bin/sandpiper
COPY --from=build --chown=10001:10001 /data /data
ENV PATH=/usr/local/bin SANDPIPER_DATA=/data
USER 10001:10001
WORKDIR /data

FROM static AS sandpiper
ENTRYPOINT ["/usr/local/bin/sandpiper"]

FROM static AS api
COPY --from=build /out/api /usr/local/bin/api
EXPOSE 8787
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/usr/local/bin/sandpiper", "health", "http://127.0.0.1:8787/readyz"]
ENTRYPOINT ["/usr/local/bin/api"]

FROM static AS worker
COPY --from=build /out/worker /usr/local/bin/worker
EXPOSE 8788
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/usr/local/bin/sandpiper", "health", "http://127.0.0.1:8788/readyz"]
ENTRYPOINT ["/usr/local/bin/worker"]

# The claude command is one native binary; Node is needed to install it and not to run it.
FROM node:22-bookworm-slim AS claude
COPY --from=build /out/sandpiper /usr/local/bin/sandpiper
RUN cp "$(SANDPIPER_DATA=/tmp/claude sandpiper install-claude)" /claude && /claude --version

# Root, because it starts a bubblewrap for each sandbox without a user namespace; what runs in there is user 1000 and has no
# capability. docs/deploy.md says what the container must be allowed, and why.
FROM debian:bookworm-slim AS daytona
RUN apt-get update && \
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
    bash bubblewrap ca-certificates curl dnsutils git jq procps ripgrep && \
    rm -rf /var/lib/apt/lists/*
COPY --from=build /out/sandpiper /usr/local/bin/sandpiper
COPY --from=claude /claude /opt/claude
ENV SANDPIPER_DATA=/data SANDPIPER_CLAUDE=/opt/claude LANG=C.UTF-8
WORKDIR /data
EXPOSE 3986
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/usr/local/bin/sandpiper", "health", "http://127.0.0.1:3986/api/health"]
ENTRYPOINT ["/usr/local/bin/sandpiper", "daytona"]
