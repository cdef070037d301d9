import { Effect, Layer } from "effect"
import { PubSub } from "../../src/services/bus/PubSub.ts"
import { AccessTokens } from "../../src/services/identity/AccessTokens.ts"
import { ExternalTokens } from "../../src/services/identity/issuers/ExternalTokens.ts"
import { Sessions } from "../../src/services/identity/Sessions.ts"
import * as SessionsSql from "../../src/services/identity/SessionsSql.ts"
import { Users } from "../../src/services/identity/Users.ts"
import * as UsersSql from "../../src/services/identity/UsersSql.ts"
import { Limits } from "../../src/services/platform/Limits.ts"
import * as PasswordsMemory from "../../src/testing/memory/Passwords.ts"
import * as SessionsMemory from "../../src/testing/memory/Sessions.ts"
import type { SettingsOverrides } from "../../src/testing/memory/Settings.ts"
import * as SettingsMemory from "../../src/testing/memory/Settings.ts"
import { Memory } from "../../src/testing/memory/State.ts"
import * as UsersMemory from "../../src/testing/memory/Users.ts"

const makeAround = (auth: SettingsOverrides["auth"]) =>
  Layer.mergeAll(
    Limits.layer,
    PasswordsMemory.layerMemory,
    AccessTokens.layer,
    ExternalTokens.layer,
    PubSub.layer
  ).pipe(
    // Tests move the clock by weeks. With a look at the database every second of them the tests would take long, and a
    // look that is given up cancels a statement of the test under load.
    Layer.provideMerge(
      SettingsMemory.layerMemory({ timers: { sessionRecheck: 100 * 24 * 3_600_000 }, ...(auth && { auth }) })
    )
  )

/** Users and Sessions with everything that they need, except for the database, under other settings of `auth`. */
export const makeAccounts = (auth?: SettingsOverrides["auth"]) => ({
  fake: Layer.mergeAll(UsersMemory.layerMemory, SessionsMemory.layerMemory).pipe(
    Layer.provideMerge(Memory.layer),
    Layer.provideMerge(makeAround(auth))
  ),
  sql: Layer.mergeAll(UsersSql.layer, SessionsSql.layer).pipe(Layer.provideMerge(makeAround(auth)))
})

/** Users and Sessions with everything that they need, except for the database. */
export const accounts = makeAccounts()

/** The services that `accounts` provides. */
export type AccountServices = Users | Sessions | Layer.Success<ReturnType<typeof makeAround>>

let number = 0

/** A registration with a unique name, from an address of its own. */
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
