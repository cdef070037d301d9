#!/bin/sh
# Replaces the replicas of the compose service by new ones without an interruption: sh deploy/compose/roll.sh
# The new ones start next to the old ones, which are stopped one after another when the new ones are ready.
set -eu
cd "$(dirname "$0")/../.."
old=$(docker compose ps -q chat-service)
count=$(echo "$old" | grep -c . || true)
[ "$count" -gt 0 ] || { echo "no replica is running: docker compose up -d" >&2; exit 1; }
docker compose build chat-service
docker compose up -d --wait --no-deps --no-recreate --scale "chat-service=$((count * 2))" chat-service
for container in $old; do
  docker stop -t 15 "$container"
  docker rm "$container"
done
docker compose up -d --no-deps --no-recreate --scale "chat-service=$count" chat-service
