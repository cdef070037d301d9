import { Effect, Layer } from "effect"
import { Nodes } from "./Nodes.ts"
import { PubSub } from "./PubSub.ts"

/** The nodes of the service, on whatever `PubSub` carries their events. */
export const layer = Nodes.layer

/** Is built when all other nodes publish for this one, so that what is built after it misses no event. */
export const layerHeard = Layer.effectDiscard(Effect.flatMap(Nodes, ({ heard }) => heard))

/** For a process that is no node, on whatever `PubSub` reaches them. */
export const layerBesides = Nodes.layerAlone

/** For a single node without a database: the bus in this process. */
export const layerAlone = Nodes.layerAlone.pipe(Layer.provideMerge(PubSub.layer))
