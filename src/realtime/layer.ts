import { Layer } from "effect"
import { CatchUp } from "./CatchUp.ts"
import { EventStreams } from "./EventStreams.ts"
import { Hub } from "./Hub.ts"

/** What delivers events to the streams and sockets of this node. */
export const layer = EventStreams.layer.pipe(Layer.provideMerge(CatchUp.layer), Layer.provideMerge(Hub.layer))
