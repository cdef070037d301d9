import { Clock, Effect, Schema, Stream } from "effect"
import { Unauthenticated } from "../domain/Problem.ts"
import { ServerEvent } from "../domain/ServerEvent.ts"
import type { Principal } from "../domain/Session.ts"
import { CurrentPrincipal } from "../operations/Callers.ts"
import { EventStream } from "../operations/EventStream.ts"
import { EventStreams } from "../realtime/EventStreams.ts"
import { Principals } from "../services/admin/Principals.ts"

const decode = Schema.decodeEffect(Schema.fromJsonString(ServerEvent))

const tokenExpired = new Unauthenticated({ code: "token-expired", detail: "The access token has expired" })

/** Serves the stream of events over RPC. A stream that ends because the session has ended fails with `Unauthenticated`. */
export const layer = EventStream.rpcs.toLayer(
  Effect.gen(function* () {
    const { follow } = yield* EventStreams
    const principals = yield* Principals

    const stillSignedIn = Effect.fnUntraced(function* (principal: Principal) {
      if (principal.expiresAt <= (yield* Clock.currentTimeMillis)) return yield* tokenExpired
      yield* principals.check(principal)
    })

    const events = Effect.fnUntraced(function* (from: Parameters<typeof follow>[1]) {
      const principal = yield* CurrentPrincipal
      const events = Stream.mapEffect(yield* follow(principal, from), (json) => Effect.orDie(decode(json)))
      return Stream.concat(events, Stream.fromEffectDrain(stillSignedIn(principal)))
    })

    return EventStream.rpcs.of({ "events.stream": (from) => Stream.unwrap(events(from)) })
  })
)
