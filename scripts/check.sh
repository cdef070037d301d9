#!/bin/sh
# Checks the format, lint rules, types with Effect's diagnostics, and rules that no linter has. Run by `npm run check`.
set -eu

biome check --error-on-warnings .

# This is the TypeScript compiler with Effect's diagnostics built in. It is run by its path, so node_modules stays unpatched.
"$(effect-tsgo get-exe-path)" --noEmit
# The package of the service needs a declaration of everything that is exported, with types that have a name.
"$(effect-tsgo get-exe-path)" --noEmit -p tsconfig.service.json
"$(effect-tsgo get-exe-path)" --noEmit -p web/tsconfig.json
"$(effect-tsgo get-exe-path)" --noEmit -p web/worker/tsconfig.json

forbid() {
  pattern=$1
  reason=$2
  shift 2
  if grep -rnE "$pattern" --include='*.ts' --include='*.tsx' --include='*.sql' "$@"; then
    echo "Not allowed above: $reason" >&2
    exit 1
  fi
}
forbid '\bDate\.now\(|new Date\(\)' 'read the time from Clock, so that tests can drive it' src
forbid '@ts-(ignore|expect-error|nocheck)|biome-ignore-all' 'repair the type instead' src test web
forbid '\bas (any|unknown as|never)\b' 'repair the type instead of silencing the compiler' src web/src
forbid '\b(TODO|FIXME|XXX)\b' 'open an issue, or do it' src test web/src migrations
forbid 'Effect\.timeout\(("|[0-9])|timeout: [0-9]|^ +[0-9]+_000$' 'take limits of time from test/support/TimeLimits.ts' \
  --exclude=TimeLimits.ts --exclude=FaultClient.ts --exclude-dir=faults test
forbid '"(pg|ioredis|prom-client|@nats-io/.*|@opentelemetry/.*|@effect/(platform-node|sql-pg|opentelemetry).*)"' \
  'drivers are for layers and the edge' src/domain src/services src/operations src/realtime src/ws src/client
forbid 'from "(.*Handlers\.ts|node:.*)"' 'clients run anywhere: domain and definitions alone' src/client
forbid 'innerHTML|dangerously' 'text of others becomes elements, never markup' web/src
forbid '"\.\./services/' 'declarations import domain only: clients import them; handlers stand in XHandlers.ts' \
  --exclude='*Handlers.ts' src/operations

# Which folders of src may import which others, and that no imports form a circle.
node scripts/arrows.mjs

# That files, functions and folders stay small enough to be read.
node scripts/sizes.mjs

if grep -rn 'process\.env' --include='*.ts' src | grep -v '^src/layers/settings/Settings.ts:'; then
  echo "Not allowed above: settings come from the Settings service" >&2
  exit 1
fi
doubled=$(ls migrations/tables | cut -c 1-4 | uniq -d)
if [ -n "$doubled" ]; then
  echo "Not allowed: two migrations with the number $doubled" >&2
  exit 1
fi
node scripts/functions.ts --check
