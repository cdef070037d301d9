import { defineConfig } from "vitest/config"

const suite = (name: string, ...folders: ReadonlyArray<string>) => ({
  extends: true as const,
  test: { name, include: folders.map((folder) => `test/${folder}/**/*.test.ts`) }
})

/** `main` is `npm test`; `tools` needs programs from apt; `faults` kills, freezes and cuts, and takes its time. */
export default defineConfig({
  test: {
    projects: [
      suite("main", "unit", "contract", "integration", "e2e"),
      suite("tools", "tools"),
      suite("faults", "faults")
    ],
    globalSetup: ["test/globalSetup.ts"],
    pool: "forks",
    // Two cores; each file brings its own services and sometimes a server process.
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    reporters: process.env.VITEST_JSON === undefined ? ["default"] : ["default", "json"],
    ...(process.env.VITEST_JSON !== undefined && { outputFile: { json: process.env.VITEST_JSON } })
  }
})
