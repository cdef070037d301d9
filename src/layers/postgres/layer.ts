import { Layer } from "effect"
import * as Migrations from "./Migrations.ts"
import * as Postgres from "./Postgres.ts"

/** PostgreSQL with an up-to-date schema: the server of the settings, or the embedded one. */
export const layer = Migrations.layer.pipe(Layer.provideMerge(Postgres.layer))

/** The same for a command that may run next to the service, with which it then shares the embedded one. */
export const layerShared = Migrations.layer.pipe(Layer.provideMerge(Postgres.layerShared))
