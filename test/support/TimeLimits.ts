/**
 * How long tests wait, in milliseconds. Such a limit only matters when a test fails, so all of them are far above what a
 * machine needs that runs other things too. `TEST_TIME_SCALE` multiplies them for one that is slower still.
 */
const scale = Number(process.env.TEST_TIME_SCALE ?? 1)

/** The limits for one test, and for the set-up of the tests of a file. */
export const testTimeout = 120_000 * scale
export const hookTimeout = 180_000 * scale

/** The limit for a test that starts many processes one after the other, or loads a node for a while. */
export const longTestTimeout = 3 * testTimeout

/** The limit for everything that a test waits for: an answer, an event, a start, an exit. */
export const patience = 60_000 * scale

/**
 * The bound for what the service promises to do in `promised` milliseconds. It leaves room for the other things that the
 * machine does, so what is tested must be far slower when it is broken.
 */
export const promptly = (promised: number) => 5 * promised * scale
