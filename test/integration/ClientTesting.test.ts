import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { Chat, type ChatState } from "../../src/client/Client.ts"
import { NotFound, TestServer } from "../../src/client/testing/TestServer.ts"
import { TestService } from "../../src/testing/TestService.ts"
import { patience } from "../support/TimeLimits.ts"

const until = (chat: Chat, fits: (state: ChatState) => boolean) =>
  Effect.runPromise(
    Effect.callback<void>((resume) => {
      const stop = chat.subscribe((state) => {
        if (fits(state)) resume(Effect.void)
      })
      return Effect.sync(stop)
    }).pipe(Effect.timeout(patience))
  )

/** What a user sees, with numbers in place of ids, without times, and without counts, which may be on their way. */
const shown = (chat: Chat) => {
  const numbers = new Map<string, string>()
  const conversations = [...chat.state.conversations.values()]
    .sort((one, other) => (one.conversation.createdAt < other.conversation.createdAt ? -1 : 1))
    .map(({ conversation, hasBefore, messages, typing }) => ({
      conversation: { ...conversation, me: { ...conversation.me, unreadCount: 0, mentionCount: 0 } },
      hasBefore,
      messages,
      typing: [...typing]
    }))
  const text = JSON.stringify(conversations)
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "time")
    .replace(/"[0-9a-f]{32}"/g, '"chosen by the client"')
    .replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, (id) => {
      const number = numbers.get(id) ?? `id ${numbers.size}`
      numbers.set(id, number)
      return number
    })
  return JSON.parse(text)
}

/** Two people do what people do, and both see the result. */
const talk = async (ann: Chat, bob: Chat) => {
  const views: Array<unknown> = []
  const { id } = await ann.ask("conversation.create", { kind: "group", title: "Plans", memberIds: [bob.userId] })
  const dm = await bob.ask("conversation.create", { kind: "dm", userId: ann.userId })
  const [mine, theirs] = [ann.conversation(id), bob.conversation(id)]
  await Promise.all([mine.open(), theirs.open(), ann.conversation(dm.id).open()])
  const look = async (seq: number) => {
    for (const chat of [ann, bob]) {
      await until(chat, ({ conversations }) => conversations.get(id)?.conversation.seq === seq)
      await until(chat, ({ sending }) => sending.length === 0)
      views.push(shown(chat))
    }
  }
  const first = await mine.send("Hello @bob")
  await look(2)
  await theirs.reply(first.messageId, "Hello")
  await look(3)
  await theirs.react(first.messageId, "👍")
  await mine.react(first.messageId, "👍")
  await look(5)
  await mine.edit(first.messageId, "Hello Bob")
  await look(6)
  const wrong = await theirs.send("wrong")
  await theirs.delete(wrong.messageId)
  await look(8)
  await mine.thread(first.messageId).send("a reply in the thread")
  await look(9)
  await theirs.unreact(first.messageId, "👍")
  await mine.markRead()
  await until(ann, ({ conversations }) => conversations.get(id)?.conversation.me.unreadCount === 0)
  await look(10)
  const { items, root } = await theirs.thread(first.messageId).list()
  views.push(`${"body" in root && root.body}: ${items.map(({ body }) => body)}`)
  const error = await bob
    .conversation(wrong.messageId)
    .list()
    .catch((error: unknown) => error)
  views.push(error instanceof Error ? error.name : "no error")
  return views
}

it.live("people see the same on a server for tests as on the service", () =>
  Effect.promise(async () => {
    const service = await TestService.start()
    const real = await Promise.all(
      ["ann", "bob"].map(async (name) => new Chat({ url: service.url, tokens: await service.signIn(name) }))
    )
    const server = new TestServer()
    const fake = ["ann", "bob"].map((name) => server.chat(name))
    const views = async ([ann, bob]: ReadonlyArray<Chat>) =>
      ann === undefined || bob === undefined ? assert.fail("two people") : talk(ann, bob)
    assert.deepStrictEqual(await views(fake), await views(real))
    await Promise.all(real.map((chat) => chat.close()))
    await service.stop()
    await server.close()
  })
)

it.live("a server for tests goes offline, says what others write, and answers what a test lets it answer", () =>
  Effect.promise(async () => {
    const server = new TestServer()
    const id = server.group("Plans", ["ann", "bob"])
    const ann = server.chat("ann")
    await ann.conversation(id).open()
    server.setOffline(true)
    await until(ann, ({ connection }) => connection.status === "waiting")
    const sent = ann.conversation(id).send("written offline")
    await until(ann, ({ sending }) => sending.length === 1)
    server.send("bob", id, "meanwhile")
    server.setOffline(false)
    await sent
    await until(ann, ({ sending }) => sending.length === 0)
    assert.deepStrictEqual(
      ann.conversation(id).state?.messages?.map(({ body }) => body),
      ["meanwhile", "written offline"]
    )

    const missing = await ann
      .conversation(id)
      .search("x")
      .catch((error: unknown) => error)
    assert.match(String(missing), /message\.search/)
    server.handle("message.search", ({ query }) => {
      if (query === "nothing") throw new NotFound({})
      return { items: ann.state.conversations.get(id)?.messages ?? [] }
    })
    assert.lengthOf((await ann.conversation(id).search("x")).items, 2)
    const refused = await ann
      .conversation(id)
      .search("nothing")
      .catch((error: unknown) => error)
    assert.instanceOf(refused, NotFound)

    // Ids and times are the same in every run, so that what a page shows can be compared with what it has shown.
    const again = new TestServer()
    assert.strictEqual(again.group("Plans", ["ann", "bob"]), id)
    await server.close()
  })
)
