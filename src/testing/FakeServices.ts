import { Layer } from "effect"
import * as Realtime from "../realtime/layer.ts"
import {
  layerAdmin,
  layerBase,
  layerConversations,
  layerFiles,
  layerIdentity,
  layerLog,
  layerMessages,
  layerPresence
} from "./memory/layer.ts"
import type { SettingsOverrides } from "./memory/Settings.ts"
import * as SettingsMemory from "./memory/Settings.ts"

/** All services in memory. Each fake passes the same contract suite as the implementation on PostgreSQL. */
export const fakeServices = (overrides: SettingsOverrides = {}) =>
  Realtime.layer.pipe(
    Layer.provideMerge(layerAdmin),
    Layer.provideMerge(Layer.merge(layerMessages, layerPresence)),
    Layer.provideMerge(layerConversations),
    Layer.provideMerge(Layer.mergeAll(layerIdentity, layerLog, layerFiles)),
    Layer.provideMerge(layerBase),
    Layer.provideMerge(SettingsMemory.layerMemory({ ...overrides, server: { ...overrides.server, port: 0 } }))
  )
