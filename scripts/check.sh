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
forbid 'from "\.\./(layers|http|rpc|ws|client)/' 'domain and services know nothing of layers, http, rpc, ws' src/domain src/services
forbid 'from "\.\./(layers|http|ws|client)/' 'operations know services alone: rooms point one way' src/rpc
forbid 'from "\.\./http/' 'the socket knows nothing of HTTP routes' src/ws
forbid 'from "\.\./(services|layers|ws)/|Handlers\.ts"|from "node:' 'clients run anywhere: domain and definitions alone' src/client
forbid 'from "\.\./(services)/' 'domain knows nothing of services' src/domain
if grep -rn 'process\.env' --include='*.ts' src | grep -v '^src/layers/Settings.ts:'; then
  echo "Not allowed above: settings come from the Settings service" >&2
  exit 1
fi
doubled=$(ls migrations | cut -c 1-4 | uniq -d)
if [ -n "$doubled" ]; then
  echo "Not allowed: two migrations with the number $doubled" >&2
  exit 1
fi
