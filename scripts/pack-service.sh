#!/bin/sh
# Builds packages/service from the sources and packs it as a tarball. Arguments go to npm pack. Run by `npm run pack:service`.
set -eu
package=$PWD/packages/service
rm -rf "$package/migrations" "$package/web"
sh scripts/compile.sh service
node scripts/service-manifest.mjs >"$package/package.json"
cp -R migrations "$package/migrations"
vite build web --outDir "$package/web/dist" --logLevel error
exec npm pack "$package" "$@"
