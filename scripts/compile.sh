#!/bin/sh
# Compiles what tsconfig.$1.json names into packages/$1/dist. Run by pack-client.sh and pack-service.sh.
set -eu
package=packages/$1
rm -rf "$package/dist"
"$(effect-tsgo get-exe-path)" -p "tsconfig.$1.json"
# The compiler leaves the extensions of the sources in declarations.
find "$package/dist" -name '*.d.ts' -exec sed -i -E 's#(from |import\()"(\.[^"]+)\.ts"#\1"\2.js"#g' {} +
cp LICENSE "$package/LICENSE"
