// Says so when node_modules is not what package-lock.json names, as after a pull that has changed dependencies.
// Run by scripts/run.sh. What an installation may leave out (optional packages, those for development) may be missing.
import { readFileSync } from "node:fs"

const packagesOf = (path) => JSON.parse(readFileSync(path, "utf8")).packages
const { "": _, ...wanted } = packagesOf("package-lock.json")
const installed = packagesOf("node_modules/.package-lock.json")
const withoutDev = !Object.values(installed).some(({ dev }) => dev)

const isCurrent = ([path, { dev, devOptional, optional, version }]) =>
  installed[path] === undefined ? optional || devOptional || (dev && withoutDev) : installed[path].version === version

const install = withoutDev ? "npm ci --omit=dev" : "npm ci"
if (!Object.entries(wanted).every(isCurrent))
  process.stderr.write(`The dependencies have changed since they were installed: run ${install}\n`)
