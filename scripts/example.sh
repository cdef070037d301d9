#!/bin/sh
# Runs a program of examples/ with its arguments: npm run example -- echo-bot http://localhost:8080 bot "correct horse"
set -eu
name=${1:-}
if [ ! -e "examples/$name.ts" ]; then
  echo "usage: npm run example -- <name> <arguments>; the names are:" examples/*.ts >&2
  exit 1
fi
shift
exec node "examples/$name.ts" "$@"
