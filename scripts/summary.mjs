// Adds up the JSON reports of vitest and prints the line that CI reads. It exits with 1 if a test failed or was skipped.
import { existsSync, readFileSync } from "node:fs"

const [runFailed, ...files] = process.argv.slice(2)
const reports = files.filter((file) => existsSync(file)).map((file) => JSON.parse(readFileSync(file, "utf8")))
const sum = (key) => reports.reduce((total, report) => total + report[key], 0)

const passed = sum("numPassedTests")
const skipped = sum("numPendingTests") + sum("numTodoTests")
// A file that cannot be loaded and a report that was not written fail the run, but count no failed test.
const failed = Math.max(sum("numFailedTests"), runFailed === "1" ? 1 : 0)

for (const { assertionResults } of reports.flatMap((report) => report.testResults)) {
  for (const { failureMessages, fullName, status } of assertionResults) {
    if (status !== "passed") process.stdout.write(`${status}: ${fullName}\n`)
    else if (failureMessages.length > 0) process.stdout.write(`passed when it was tried again: ${fullName}\n`)
  }
}
process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped\n`)
process.exit(failed > 0 || skipped > 0 || passed === 0 ? 1 : 0)
