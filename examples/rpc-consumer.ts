/**
 * Calls over RPC, for programs with Effect: reads a user's conversations, and follows their events.
 *
 *     npm run example -- rpc-consumer http://localhost:8080 ann "correct horse"
 */
import { makeRpc, withToken } from "chat-service/client/rpc"
import { Console, Effect, Stream } from "effect"

/** Prints the conversations with their unread counts, then each new message, one line each. */
export const follow = Effect.fnUntraced(function* (url: string, login: string, password: string) {
  const rpc = yield* makeRpc(url, "websocket")
  const { accessToken } = yield* rpc["auth.login"]({ login, password })
  return withToken(accessToken)(rpc["events.stream"]({})).pipe(
    Stream.flatMap((told) => {
      switch (told.event) {
        case "ready":
          return Stream.fromIterable(
            (told.data.conversations ?? []).map(({ id, me }) => `${id}: ${me.unreadCount} unread`)
          )
        case "message.created":
          return Stream.make(`${told.data.message.senderId}: ${told.data.message.body}`)
        default:
          return Stream.empty
      }
    })
  )
})

if (import.meta.main) {
  const [url = "http://localhost:8080", login = "", password = ""] = process.argv.slice(2)
  await Effect.runPromise(
    follow(url, login, password).pipe(Effect.flatMap(Stream.runForEach((line) => Console.log(line))), Effect.scoped)
  )
}
