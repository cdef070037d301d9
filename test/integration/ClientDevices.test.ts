import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { Chat, type ChatState, type Database, memoryDatabase, type Tokens } from "../../src/client/Client.ts"
import { TestService } from "../../src/testing/TestService.ts"
import { patience } from "../support/TimeLimits.ts"

const deviceOf = (tokens: Tokens, database?: Database) =>
  Effect.gen(function* () {
    const { url } = yield* TestService
    const chat = yield* Effect.acquireRelease(
      Effect.sync(() => new Chat({ url, tokens, database })),
      (it) => Effect.promise(() => it.close())
    )
    yield* Effect.promise(() => chat.ready())
    return chat
  })

const until = (chat: Chat, fits: (state: ChatState) => boolean) =>
  Effect.callback<void>((resume) => {
    const stop = chat.subscribe((state) => {
      if (fits(state)) resume(Effect.void)
    })
    return Effect.sync(stop)
  }).pipe(Effect.timeout(patience))

const run = <A>(call: () => Promise<A>) => Effect.promise(call)
const bodies = (chat: Chat, id: string) => chat.conversation(id).state?.messages?.map(({ body }) => body)

/** Two devices of Ann, and Bob, in a group. */
const stage = (name: string) =>
  Effect.gen(function* () {
    const { signIn } = yield* TestService
    const sessions = [yield* signIn(name), yield* signIn(name)] as const
    const one = yield* deviceOf(sessions[0])
    const other = yield* deviceOf(sessions[1])
    const bob = yield* deviceOf(yield* signIn(`${name}-friend`))
    const group = { kind: "group", title: "Group", memberIds: [one.userId] } as const
    const { id } = yield* run(() => bob.ask("conversation.create", group))
    yield* Effect.forEach([one, other, bob], (chat) => run(() => chat.conversation(id).open()))
    return { sessions, one, other, bob, id }
  })

const poll = { question: "When?", options: ["today", "tomorrow"] }

layer(TestService.layer(), { excludeTestServices: true })(
  "a device shows what happens on another one of its user",
  (it) => {
    it.effect("drafts, also those of before", () =>
      Effect.gen(function* () {
        const { id, one, other, sessions } = yield* stage("drafts")
        const draftOf = (chat: Chat) => chat.conversation(id).state?.draft?.body ?? null
        yield* run(() => one.conversation(id).saveDraft("begun"))
        yield* until(other, () => draftOf(other) === "begun")
        const late = yield* deviceOf(sessions[1])
        yield* until(late, () => draftOf(late) === "begun")
        yield* run(() => other.conversation(id).saveDraft(""))
        for (const chat of [one, other, late]) yield* until(chat, () => draftOf(chat) === null)
      }).pipe(Effect.scoped)
    )

    it.effect("votes, and messages that were hidden", () =>
      Effect.gen(function* () {
        const { bob, id, one, other } = yield* stage("votes")
        const sent = yield* run(() => bob.conversation(id).send("When?", { type: "poll", payload: poll }))
        const last = yield* run(() => bob.conversation(id).send("forget this"))
        yield* until(other, () => bodies(other, id)?.length === 2)
        const voteOn = (chat: Chat) => chat.conversation(id).state?.messages?.[0]?.myVote
        yield* run(() => one.conversation(id).vote(sent.messageId, [1]))
        for (const chat of [one, other]) yield* until(chat, () => voteOn(chat)?.join() === "1")
        yield* run(() => one.conversation(id).vote(sent.messageId, []))
        yield* until(other, () => voteOn(other)?.length === 0)
        assert.notInclude(bob.conversation(id).state?.messages?.[0]?.myVote ?? [], 1)

        yield* run(() => one.conversation(id).hide(last.messageId))
        for (const chat of [one, other]) {
          yield* until(chat, () => bodies(chat, id)?.join() === "When?")
          yield* until(chat, () => chat.conversation(id).state?.conversation.lastMessage?.body === "When?")
          yield* until(chat, () => chat.conversation(id).state?.conversation.me.unreadCount === 1)
        }
        assert.deepStrictEqual(bodies(bob, id), ["When?", "forget this"])
      }).pipe(Effect.scoped)
    )

    it.effect("what it missed of that while it was away", () =>
      Effect.gen(function* () {
        const { bob, id, one, sessions } = yield* stage("away")
        const database = memoryDatabase()
        const sent = yield* run(() => bob.conversation(id).send("When?", { type: "poll", payload: poll }))
        const last = yield* run(() => bob.conversation(id).send("forget this"))
        yield* Effect.gen(function* () {
          const away = yield* deviceOf(sessions[1], database)
          yield* run(() => away.conversation(id).open())
          yield* until(away, () => bodies(away, id)?.length === 2)
        }).pipe(Effect.scoped)
        yield* run(() => one.conversation(id).vote(sent.messageId, [0]))
        yield* run(() => one.conversation(id).hide(last.messageId))
        yield* run(() => one.conversation(id).saveDraft("begun"))
        const back = yield* deviceOf(sessions[1], database)
        yield* until(back, () => bodies(back, id)?.join() === "When?")
        yield* until(back, () => back.conversation(id).state?.messages?.[0]?.myVote?.join() === "0")
        yield* until(back, () => back.conversation(id).state?.draft?.body === "begun")
      }).pipe(Effect.scoped)
    )

    it.effect("the replies in a thread that is open, as they come, change and go", () =>
      Effect.gen(function* () {
        const { bob, id, one, other } = yield* stage("threads")
        const root = yield* run(() => bob.conversation(id).send("the root"))
        const [mine, theirs] = [
          one.conversation(id).thread(root.messageId),
          other.conversation(id).thread(root.messageId)
        ]
        yield* run(() => mine.send("first"))
        yield* run(() => theirs.open())
        const replies = () => theirs.state?.messages?.map(({ body }) => body)
        assert.deepStrictEqual(replies(), ["first"])
        assert.strictEqual(theirs.state?.root?.body, "the root")
        assert.strictEqual(theirs.state?.hasBefore, false)
        const second = yield* run(() => mine.send("second"))
        yield* until(other, () => replies()?.join() === "first,second")
        yield* run(() => one.conversation(id).edit(second.messageId, "changed"))
        yield* run(() => bob.conversation(id).react(second.messageId, "👍"))
        yield* until(other, () => replies()?.join() === "first,changed")
        yield* until(other, () => theirs.state?.messages?.[1]?.reactions[0]?.count === 1)
        yield* run(() => one.conversation(id).hide(second.messageId))
        yield* until(other, () => replies()?.join() === "first")
        yield* run(() => bob.conversation(id).edit(root.messageId, "another root"))
        yield* until(other, () => theirs.state?.root?.body === "another root")
        assert.strictEqual(theirs.state?.root?.threadReplyCount, 2)
        assert.deepStrictEqual(bodies(other, id), ["another root"])
      }).pipe(Effect.scoped)
    )
  }
)
