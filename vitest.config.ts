import { defineConfig } from "vitest/config"
import { hookTimeout, testTimeout } from "./test/support/TimeLimits.ts"

const suite = (name: string, ...folders: ReadonlyArray<string>) => ({
  extends: true as const,
  test: { name, include: folders.map((folder) => `test/${folder}/**/*.test.ts`) }
})

/** Their files run in one process after another, since the services of each have all of their state in Layers. */
const contract = suite("contract", "contract")

/**
 * `npm test` is `main` and `contract`; `drills` tries what operators do on bad days; `tools` needs programs from apt;
 * `large` fills a database with two million messages; `faults` kills, freezes and cuts, and takes its time.
 */
export default defineConfig({
  test: {
    projects: [
      suite("main", "unit", "integration", "e2e"),
      { ...contract, test: { ...contract.test, isolate: false } },
      suite("drills", "drills"),
      suite("tools", "tools"),
      suite("large", "large"),
      suite("faults", "faults"),
      suite("fuzz", "fuzz"),
      suite("attacks", "attacks")
    ],
    globalSetup: ["test/globalSetup.ts"],
    setupFiles: ["test/setup.ts"],
    pool: "forks",
    // Two cores; each file brings its own services and sometimes a server process.
    maxWorkers: 2,
    // On a machine that is busy with something else, a test may wait too long. What is tried again is named at the end.
    retry: process.env.CI === undefined ? 0 : 1,
    testTimeout,
    hookTimeout,
    reporters: process.env.VITEST_JSON === undefined ? ["default"] : ["default", "json"],
    ...(process.env.VITEST_JSON !== undefined && { outputFile: { json: process.env.VITEST_JSON } })
  }
})
