import { Clock, Effect, Schema, Stream } from "effect"
import { Unauthenticated } from "../domain/Problem.ts"
import type { Principal } from "../domain/Session.ts"
import { Told } from "../domain/Told.ts"
import { EventRpcs } from "../rpc/EventRpcs.ts"
import { CurrentPrincipal } from "../services/CurrentPrincipal.ts"
import { Sessions } from "../services/Sessions.ts"
import { EventStreams } from "./EventStreams.ts"

const decode = Schema.decodeEffect(Schema.fromJsonString(Told))

const tokenExpired = new Unauthenticated({ code: "token-expired", detail: "The access token has expired" })

/** The stream of events over RPC. One that ends because its caller is signed in no longer says so. */
export const layer = EventRpcs.toLayer(
  Effect.gen(function* () {
    const { follow } = yield* EventStreams
    const sessions = yield* Sessions

    const stillSignedIn = Effect.fnUntraced(function* (principal: Principal) {
      if (principal.expiresAt <= (yield* Clock.currentTimeMillis)) return yield* tokenExpired
      yield* sessions.check(principal)
    })

    const events = Effect.fnUntraced(function* (from: Parameters<typeof follow>[1]) {
      const principal = yield* CurrentPrincipal
      const told = Stream.mapEffect(yield* follow(principal, from), (json) => Effect.orDie(decode(json)))
      return Stream.concat(told, Stream.fromEffectDrain(stillSignedIn(principal)))
    })

    return EventRpcs.of({ "events.stream": (from) => Stream.unwrap(events(from)) })
  })
)
