#!/bin/sh
# Builds packages/client from src/client and packs it as a tarball. Arguments go to npm pack. Run by `npm run pack:client`.
set -eu
dist=packages/client/dist
sh scripts/compile.sh client
# CommonJS for programs and test runners that cannot load ES modules: effect, which has no CommonJS, is inside.
rolldown src/client/Client.ts --platform neutral --format cjs --sourcemap --file "$dist/client.cjs" --log-level warn
rolldown src/client/React.ts --platform neutral --format cjs --sourcemap --external react --file "$dist/react.cjs" \
  --log-level warn
cp packages/client/types/*.d.cts "$dist"
# One file for pages without a bundler.
rolldown src/client/Client.ts --platform browser --format esm --minify --file "$dist/cdn.js" --log-level warn
exec npm pack ./packages/client "$@"
