#!/bin/sh
# Runs a command of this project with Node 24, installing the dependencies first when nothing is installed.
# It ends in `exec`, so that a signal sent to npm reaches the command itself.
set -eu
cd "$(dirname "$0")/.."

if [ ! -e node_modules/.package-lock.json ]; then
  echo "Nothing is installed yet: npm ci" >&2
  npm ci --no-audit --no-fund >&2
fi

PATH="$PWD/node_modules/.bin:$PATH"
export PATH
if [ "$(node -p 'process.versions.node.split(".")[0] >= 24')" != true ]; then
  echo "Node 24 or newer is needed, and this is $(node --version): install it, or run npm ci with optional packages" >&2
  exit 1
fi
exec "$@"
