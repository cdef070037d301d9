import * as fc from "fast-check"

// A change must not fail to land by bad luck: CI tries the same texts each time, and developers try new ones.
if (process.env.CI !== undefined) fc.configureGlobal({ seed: 20_261_130 })
