#!/bin/sh
# Format, lint, types with Effect's diagnostics, and what no linter knows. Run by `npm run check`.
set -eu

biome check --error-on-warnings .

# The TypeScript compiler with Effect's diagnostics built in; run from where it is, so node_modules stays unpatched.
"$(effect-tsgo get-exe-path)" --noEmit

forbid() {
  pattern=$1
  reason=$2
  shift 2
  if grep -rnE "$pattern" --include='*.ts' "$@"; then
    echo "Not allowed above: $reason" >&2
    exit 1
  fi
}
forbid '\bDate\.now\(|new Date\(\)' 'read the time from Clock, so that tests can drive it' src
forbid '@ts-(ignore|expect-error|nocheck)|biome-ignore-all' 'repair the type instead' src test
forbid '\bas (any|unknown as|never)\b' 'repair the type instead of silencing the compiler' src
forbid '\b(TODO|FIXME|XXX)\b' 'open an issue, or do it' src test migrations
forbid '"(pg|ioredis|prom-client|@nats-io/.*|@opentelemetry/.*|@effect/(platform-node|sql-pg|opentelemetry).*)"' \
  'drivers are for layers and the edge' src/domain src/services src/rpc src/ws src/client
forbid 'from "(\.\./(services|ws)/.*|.*Handlers\.ts|node:.*)"' 'clients run anywhere: domain and definitions alone' src/client

# Which rooms a room may know. App.ts and main.ts compose them all.
arrows() {
  if grep -rnE 'from "\.\./[a-z]+/' --include='*.ts' "src/$1" | grep -vE "from \"\.\./($2)/"; then
    echo "Not allowed above: src/$1 knows of the rooms only $2" >&2
    exit 1
  fi
}
arrows domain 'itself'
arrows services 'domain'
arrows layers 'domain|services'
arrows rpc 'domain|services'
arrows ws 'domain|services|rpc'
arrows http 'domain|services|rpc|ws'
arrows client 'domain|rpc|http'
arrows cli 'domain|client'
arrows testing 'domain|services|rpc|ws|http'

if grep -rn 'process\.env' --include='*.ts' src | grep -v '^src/layers/Settings.ts:'; then
  echo "Not allowed above: settings come from the Settings service" >&2
  exit 1
fi
doubled=$(ls migrations | cut -c 1-4 | uniq -d)
if [ -n "$doubled" ]; then
  echo "Not allowed: two migrations with the number $doubled" >&2
  exit 1
fi
