# The build stage has a compiler, for a native module without a fitting prebuilt binary. The final image has none.
FROM node:24-bookworm-slim AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends build-essential python3 \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY test/support/tools/build.js test/support/tools/
COPY src src
RUN npm run build && npm prune --omit=dev

FROM node:24-bookworm-slim
ENV NODE_ENV=production \
    PORCHLIGHT_HOST=0.0.0.0 \
    PORCHLIGHT_DATABASE=/data/porchlight.db
WORKDIR /app
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY drizzle drizzle
COPY package.json schema.graphql README.md LICENSE ./
RUN install -d -o node -g node -m 0700 /data
USER node
VOLUME /data
EXPOSE 4000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${[process.env.PORCHLIGHT_PORT, process.env.PORT, 4000].find((port) => port > 0)}/health/ready`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# Node is started directly, so that it receives SIGTERM itself.
CMD ["node", "dist/cli/cli.js", "serve"]
