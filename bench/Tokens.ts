import { Console, Effect } from "effect"
import { exportJWK, generateKeyPair, SignJWT } from "jose"
import type { Bench } from "./Compare.ts"
import { cpuBetween, sampleCpu } from "./Cpu.ts"
import { makePairs } from "./Data.ts"
import type { Member } from "./Dialects.ts"
import type { Verdict } from "./Goals.ts"
import { greet } from "./Hello.ts"
import { BenchError, query } from "./Postgres.ts"
import { makeStack, startNode } from "./Service.ts"

const issuer = "https://app.example.com"
const keyId = "bench"

/** How many users say hello at the same time. */
const width = 4

/** A key of an issuer, and what signs the tokens of users with it. Every token is another one, of the same session. */
const makeIssuer = Effect.promise(async () => {
  const { privateKey, publicKey } = await generateKeyPair("ES256")
  const keys = [{ ...(await exportJWK(publicKey)), kid: keyId, alg: "ES256" }]
  const sign = ({ user }: Member) =>
    new SignJWT({ sid: user, jti: crypto.randomUUID() })
      .setProtectedHeader({ alg: "ES256", kid: keyId })
      .setIssuer(issuer)
      .setAudience("chat")
      .setSubject(user)
      .setIssuedAt()
      .setExpirationTime("1h")
      .sign(privateKey)
  return { setting: JSON.stringify([{ issuer, audience: "chat", keys, algorithms: ["ES256"] }]), sign }
})

const hello = (url: string, token: string) =>
  Effect.tryPromise({
    try: () => greet(url, token),
    catch: (error) => new BenchError({ message: `tokens: ${error instanceof Error ? error.message : "no answer"}` })
  })

/**
 * Hellos of the same users with our tokens and with those of an issuer, which the node has seen before, as when clients
 * reconnect; and with tokens of the issuer that it has not seen.
 */
export const tokens = Effect.fnUntraced(function* ({ nodeOptions, pairs, postmaster, quick, rounds }: Bench) {
  const stack = yield* makeStack("chat_bench_tokens")
  const { setting, sign } = yield* makeIssuer
  const environment = { ...stack.environment, CHAT_AUTH__ISSUERS: setting }
  const { pid, url } = yield* startNode("service", { ...stack, environment }, nodeOptions)
  const members = yield* makePairs(stack.database, pairs)
  yield* query(
    `INSERT INTO external_identities (issuer, subject, user_id, profile_at) SELECT '${issuer}', id, id, now() FROM users`,
    stack.database
  )
  const signAll = Effect.promise(() => Promise.all(members.map(sign)))
  const own = members.map(({ token }) => token)
  const known = yield* signAll
  const sample = () => sampleCpu({ server: [pid], bus: stack.bus }, postmaster, stack.database)

  /** The CPU of a hello with one of these tokens, in microseconds. */
  const cost = Effect.fnUntraced(function* (given: ReadonlyArray<string>) {
    const from = sample()
    yield* Effect.forEach(given, (token) => hello(url, token), { concurrency: width, discard: true })
    const cpu = cpuBetween(from, sample())
    return (cpu.server + cpu.postgres + cpu.bus) / given.length
  })

  // Both in turns, so that what else the machine does meets both.
  const compare = Effect.fnUntraced(function* (times: number) {
    let [ours, external] = [0, 0]
    for (let time = 0; time < times; time++) {
      ours += yield* cost(own)
      external += yield* cost(known)
    }
    return { ours: ours / times, external: external / times }
  })

  yield* compare(quick ? 1 : 10)
  const ratios: Array<number> = []
  const unseenRatios: Array<number> = []
  for (let round = 1; round <= (quick ? 1 : rounds); round++) {
    const { external, ours } = yield* compare(quick ? 1 : 5)
    const unseen = yield* cost(yield* signAll)
    yield* Console.log(
      `round ${round}: CPU of a hello ${ours.toFixed(0)} µs with our token, ${external.toFixed(0)} µs with an external ` +
        `one, ${unseen.toFixed(0)} µs with one that the node has not seen`
    )
    ratios.push(external / ours)
    unseenRatios.push(unseen / ours)
  }
  const verdicts: ReadonlyArray<Verdict> = [
    {
      what: "hello: CPU with an external token / with ours",
      unit: "",
      values: ratios,
      goal: { side: "at most", must: 1.1 }
    },
    { what: "hello: the same with a token that the node has not seen", unit: "", values: unseenRatios }
  ]
  return verdicts
})
