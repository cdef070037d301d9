import { Layer, Schema } from "effect"
import { Settings, SettingsSchema, type SettingsShape } from "../../services/platform/Settings.ts"

/** Some keys of some sections, already decoded (durations in milliseconds). */
export type SettingsOverrides = {
  readonly [S in keyof SettingsShape]?: Partial<NonNullable<SettingsShape[S]>>
}

const defaults = Schema.decodeSync(SettingsSchema)

const testSettings = (overrides: SettingsOverrides): SettingsShape => {
  const base = defaults({ jwt: { secret: "a secret for tests only, 32 bytes or more" } })
  const servers = defaults({ postgres: {}, redis: {}, nats: {}, s3: { bucket: "chat" } })
  return {
    // The page is served as it was built last, which no test should depend on.
    server: { ...base.server, web: false, ...overrides.server },
    files: { ...base.files, ...overrides.files },
    jwt: { ...base.jwt, ...overrides.jwt },
    auth: { ...base.auth, ...overrides.auth },
    logging: { ...base.logging, ...overrides.logging },
    metrics: { ...base.metrics, ...overrides.metrics },
    tracing: { ...base.tracing, ...overrides.tracing },
    data: { ...base.data, ...overrides.data },
    limits: { ...base.limits, ...overrides.limits },
    // Tests read metrics that they have just counted.
    timers: { ...base.timers, metricsRender: 0, ...overrides.timers },
    shutdown: { ...base.shutdown, ...overrides.shutdown },
    ...(servers.postgres && overrides.postgres && { postgres: { ...servers.postgres, ...overrides.postgres } }),
    ...(servers.redis && overrides.redis && { redis: { ...servers.redis, ...overrides.redis } }),
    ...(servers.nats && overrides.nats && { nats: { ...servers.nats, ...overrides.nats } }),
    ...(servers.s3 && overrides.s3 && { s3: { ...servers.s3, ...overrides.s3 } })
  }
}

/** The defaults with a signing key for tests, changed by `overrides`; a server's section exists when it is given. */
export const layerMemory = (overrides: SettingsOverrides = {}) => Layer.succeed(Settings, testSettings(overrides))
