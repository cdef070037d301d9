#!/bin/sh
# Runs a command of this project with Node 24, and installs the dependencies first if that was not done yet.
# When they have changed since then, it only says so: a service may be running with those that are installed.
# It ends in `exec`, so that a signal that is sent to npm reaches the command itself.
set -eu
cd "$(dirname "$0")/.."

if [ ! -e node_modules/.package-lock.json ]; then
  echo "The dependencies are not installed yet: running npm ci" >&2
  npm ci --no-audit --no-fund >&2
fi

PATH="$PWD/node_modules/.bin:$PATH"
export PATH
# Ids are made by this function, which is newer than Node 24 itself.
if [ "$(node -p 'typeof require("node:crypto").randomUUIDv7')" != function ]; then
  echo "Node 24.16 or later is required, and this is $(node --version): install it, or run npm ci with optional packages" >&2
  exit 1
fi
# A look at the times is enough nearly always, and takes none.
if [ package-lock.json -nt node_modules/.package-lock.json ]; then node scripts/installed.mjs; fi
exec "$@"
