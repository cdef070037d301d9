import { Effect, Layer } from "effect"
import { AccessTokens } from "../../src/services/AccessTokens.ts"
import { Limits } from "../../src/services/Limits.ts"
import { Memory } from "../../src/services/Memory.ts"
import { Passwords } from "../../src/services/Passwords.ts"
import { PubSub } from "../../src/services/PubSub.ts"
import { Sessions } from "../../src/services/Sessions.ts"
import { Settings } from "../../src/services/Settings.ts"
import { Users } from "../../src/services/Users.ts"

const around = Layer.mergeAll(Limits.layer, Passwords.layerTest, AccessTokens.layer, PubSub.layer).pipe(
  // Tests move the clock by weeks: the fibers that look at the database each second would take their time.
  Layer.provideMerge(Settings.layerTest({ timers: { sessionRecheck: 3_600_000 } }))
)

/** Users and Sessions with what they stand on, but for the database. */
export const accounts = {
  fake: Layer.mergeAll(Users.layerTest, Sessions.layerTest).pipe(
    Layer.provideMerge(Memory.layer),
    Layer.provideMerge(around)
  ),
  sql: Layer.mergeAll(Users.layer, Sessions.layer).pipe(Layer.provideMerge(around))
}

/** What `accounts` provides. */
export type Accounts = Users | Sessions | Layer.Success<typeof around>

let number = 0

/** A registration that collides with no other: each from an address of its own. */
export const someone = (name = "user") => {
  number++
  const username = `${name}${number}`
  return {
    username,
    email: `${username}@example.com`,
    displayName: `Display ${username}`,
    password: "correct horse",
    ip: `10.${number >> 16}.${(number >> 8) & 255}.${number & 255}`
  }
}

/** A registered user, signed in once. */
export const signedIn = Effect.gen(function* () {
  const person = someone()
  const users = yield* Users
  const sessions = yield* Sessions
  const me = yield* users.register(person)
  const login = (userAgent = "test") =>
    sessions.login({ login: person.username, password: person.password, userAgent, ip: person.ip })
  const tokens = yield* login()
  const principal = yield* sessions.authenticate(tokens.accessToken)
  return { person, me, tokens, principal, login, device: { userAgent: "test", ip: person.ip } }
})
