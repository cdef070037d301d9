import { assert, layer as withLayer } from "@effect/vitest"
import { Context, Effect, type Layer, Schema } from "effect"
import type { ConversationId, UserId } from "../../../src/domain/Ids.ts"
import { MessageSearch } from "../../../src/domain/Search.ts"
import { MessageChanges } from "../../../src/services/messages/MessageChanges.ts"
import { Search } from "../../../src/services/messages/search/Search.ts"
import {
  Backstage,
  type Chat,
  cursorWith,
  dmOf,
  entryOf,
  groupOf,
  nowhere,
  outcome,
  person,
  problem,
  refused,
  store,
  twoOfUs
} from "../../support/Chat.ts"

/** Indexes until nothing is left, as the job of a node does. */
export class Indexing extends Context.Service<Indexing, { readonly run: Effect.Effect<void> }>()(
  "chat/test/Indexing"
) {}

const say = (conversationId: ConversationId, senderId: UserId, body: string) =>
  Effect.map(store(entryOf(conversationId, senderId, { body })), ({ message }) => message)

const search = (userId: UserId, query: string, filter: Partial<MessageSearch> = {}, limit = 50, cursor?: string) =>
  Search.use((service) => service.messages(userId, { query, ...filter }, { limit, cursor }))

/** The bodies of the messages that a query finds, in their order. */
const found = (userId: UserId, query: string, filter?: Partial<MessageSearch>) =>
  Effect.map(search(userId, query, filter), ({ items }) => items.map(({ body }) => body))

const pages = Effect.fnUntraced(function* (userId: UserId, query: string, limit: number) {
  const all: Array<ReadonlyArray<string>> = []
  let cursor: string | undefined
  do {
    const page = yield* search(userId, query, {}, limit, cursor)
    all.push(page.items.map(({ body }) => body))
    cursor = page.nextCursor
  } while (cursor !== undefined)
  return all
})

const isSearch = Schema.is(Schema.toEncoded(MessageSearch))
const decodes = (query: string) => Schema.is(MessageSearch.fields.query)(query)

/** Texts, each with queries that find it. */
const probes: ReadonlyArray<readonly [body: string, ...queries: ReadonlyArray<string>]> = [
  ["“harbour” he said", "harbour", "“harbour”"],
  ["I don’t know", "don't", "don’t"],
  ["we don't care", "don’t", "don't"],
  ["it is done… really", "done"],
  ["great🎉", "great", "🎉"],
  ["plan—tomorrow", "plan", "tomorrow"],
  ["it costs €50", "50", "€50"],
  ["the client/server model", "server", "client", "client/server"],
  ["see report.pdf", "report", "pdf", "report.pdf"],
  ["order ABC-1234", "1234", "ABC-1234", "abc"],
  ["read https://example.com/docs/intro now", "https://example.com/docs/intro", "intro", "example.com"],
  ["use List<String> here", "String", "List<String>"],
  ["put a <script> tag before the footer", "footer", "script"],
  ["ПРИВЕТ", "привет", "Привет"],
  ["我们明天在上海开会。", "上海", "我"],
  ["バッタと鈴虫", "鈴虫", "虫"],
  ["서울학교에서 만나요", "학교", "만나"],
  ["an attachment", "attach", "ATTACHMENT"],
  ["Straße and ＦＵＬＬ", "STRASSE", "full"],
  [`${"long ".repeat(1500)}end`, "end", `${"long ".repeat(40)}end`],
  [Array.from({ length: 200 }, (_, n) => `w${n}`).join(" "), "w199 w0", '"w198 w199"']
]

/** The contract of Search, whether the index is up to date or not. */
export const searchContract = <E>(layer: Layer.Layer<Chat | Search | Indexing, E>) => {
  withLayer(layer)("Search", (it) => {
    /** Checks once before and once after everything is indexed. */
    const twice = <A, E, R>(check: Effect.Effect<A, E, R>) =>
      check.pipe(Effect.andThen(Indexing.use(({ run }) => run)), Effect.andThen(check))

    it.effect("finds messages by all of their words, in any case", () =>
      Effect.gen(function* () {
        const { a, b, id } = yield* twoOfUs
        yield* say(id, a, "Shall we meet at the harbour?")
        const harbour = yield* say(id, b, "The HARBOUR is closed")
        yield* say(id, b, "Übermorgen, am Hafen")
        yield* twice(
          Effect.gen(function* () {
            assert.sameMembers(yield* found(a, "harbour"), ["Shall we meet at the harbour?", "The HARBOUR is closed"])
            assert.deepStrictEqual(yield* found(a, "closed Harbour"), ["The HARBOUR is closed"])
            assert.deepStrictEqual(yield* found(a, "ÜBERMORGEN"), ["Übermorgen, am Hafen"])
            assert.deepStrictEqual(yield* found(a, '"the harbour" -meet'), ["The HARBOUR is closed"])
            assert.deepStrictEqual(yield* found(a, '"harbour the"'), [])
            assert.sameMembers(yield* found(a, "closed or hafen"), ["The HARBOUR is closed", "Übermorgen, am Hafen"])
            assert.sameMembers(yield* found(a, "harb"), ["Shall we meet at the harbour?", "The HARBOUR is closed"])
            assert.deepStrictEqual(yield* found(a, '"harb"'), [])
            const { items, ...rest } = yield* search(b, "closed")
            assert.deepStrictEqual([items, rest], [[harbour], {}])
          })
        )
      })
    )

    it.effect("finds what people write, in any script and with any punctuation, and nothing else", () =>
      Effect.gen(function* () {
        const { a, id } = yield* twoOfUs
        for (const [body] of probes) yield* say(id, a, body)
        yield* twice(
          Effect.gen(function* () {
            for (const [body, ...queries] of probes)
              for (const query of queries) assert.include(yield* found(a, query), body, query)
            for (const query of ["arbour", '"attach"', "tach", "海上", "虫鈴", "buoys", '"said he"'])
              assert.deepStrictEqual(yield* found(a, query), [], query)
          })
        )
      })
    )

    it.effect("refuses a query that only says what to leave out", () =>
      Effect.gen(function* () {
        const { a, id } = yield* twoOfUs
        yield* say(id, a, "anything")
        for (const query of ["-zzz", '-"a b"', "-a -b", "anything or -zzz"])
          assert.strictEqual(yield* refused(search(a, query)), "query", query)
        assert.deepStrictEqual(yield* found(a, "anything -zzz"), ["anything"])
        assert.deepStrictEqual(yield* found(a, "anything -any"), ["anything"])
        assert.deepStrictEqual(yield* found(a, "anything -anything"), [])
      })
    )

    it.effect("the better match comes first, and the newer of two equal ones", () =>
      Effect.gen(function* () {
        const { a, b, id } = yield* twoOfUs
        yield* say(id, a, "one tide")
        yield* say(id, a, "tide tide tide")
        yield* say(id, b, "two tide")
        yield* twice(
          Effect.gen(function* () {
            assert.deepStrictEqual(yield* found(b, "tide"), ["tide tide tide", "two tide", "one tide"])
          })
        )
      })
    )

    it.effect("filters by conversation, by sender and by time", () =>
      Effect.gen(function* () {
        const [a, b, c] = [yield* person, yield* person, yield* person]
        const dm = yield* dmOf(a, b)
        const group = yield* groupOf(a, b, c)
        const first = yield* say(dm, a, "a lantern in the DM")
        yield* say(group, b, "a lantern in the group")
        yield* say(group, c, "another lantern")
        const at = new Date(first.createdAt)
        yield* twice(
          Effect.gen(function* () {
            assert.lengthOf(yield* found(a, "lantern"), 3)
            assert.deepStrictEqual(yield* found(a, "lantern", { conversationId: dm }), ["a lantern in the DM"])
            assert.deepStrictEqual(yield* found(a, "lantern", { senderId: c }), ["another lantern"])
            assert.lengthOf(yield* found(a, "lantern", { before: at }), 0)
            assert.lengthOf(yield* found(a, "lantern", { after: new Date(at.getTime() - 1) }), 3)
            assert.lengthOf(yield* found(a, "lantern", { after: new Date(at.getTime() + 86_400_000) }), 0)
            assert.lengthOf(yield* found(a, "lantern", { before: new Date(at.getTime() + 86_400_000) }), 3)
            assert.lengthOf(yield* found(c, "lantern"), 2)
          })
        )
      })
    )

    it.effect("shows nothing that the member may not see", () =>
      Effect.gen(function* () {
        const [a, b, late, stranger] = [yield* person, yield* person, yield* person, yield* person]
        const id = yield* groupOf(a, b, late)
        yield* say(id, a, "a secret anchor")
        const { seq } = yield* say(id, a, "an anchor for all")
        yield* Backstage.use(({ leave, seeFrom }) => Effect.andThen(seeFrom(id, late, seq), leave(id, b)))
        yield* twice(
          Effect.gen(function* () {
            assert.lengthOf(yield* found(a, "anchor"), 2)
            assert.deepStrictEqual(yield* found(late, "anchor"), ["an anchor for all"])
            assert.deepStrictEqual(yield* found(b, "anchor"), [])
            assert.deepStrictEqual(yield* found(stranger, "anchor"), [])
            const unknown = yield* problem(search(a, "anchor", { conversationId: nowhere }))
            assert.deepInclude(unknown, { status: 404 })
            for (const user of [b, stranger]) {
              assert.deepStrictEqual(yield* problem(search(user, "anchor", { conversationId: id })), unknown)
            }
          })
        )
      })
    )

    it.effect("pages have no gaps and no duplicates while messages are sent", () =>
      Effect.gen(function* () {
        const { a, b, id } = yield* twoOfUs
        const other = yield* groupOf(a)
        for (let n = 0; n < 7; n++) yield* say(n % 2 === 0 ? id : other, a, `wave ${n}${" wave".repeat(n % 3)}`)
        const { items: all } = yield* search(a, "wave")
        assert.lengthOf(all, 7)
        yield* twice(
          Effect.gen(function* () {
            const bodies = all.map(({ body }) => body)
            assert.deepStrictEqual(yield* pages(a, "wave", 3), [
              bodies.slice(0, 3),
              bodies.slice(3, 6),
              bodies.slice(6)
            ])
            assert.deepStrictEqual(yield* pages(a, "wave", 7), [bodies])
          })
        )
        const first = yield* search(a, "wave", {}, 3)
        yield* say(id, b, "wave wave wave wave")
        yield* Indexing.use(({ run }) => run)
        const second = yield* search(a, "wave", {}, 50, first.nextCursor)
        assert.deepStrictEqual([...first.items, ...second.items], all)
        assert.notProperty(second, "nextCursor")
      })
    )

    it.effect("finds a word however the keyboard composed its accents", () =>
      Effect.gen(function* () {
        const { a, id } = yield* twoOfUs
        const bodies = ["a cafe\u0301 here", "a caf\u00e9 there"]
        for (const body of bodies) yield* say(id, a, body)
        yield* twice(
          Effect.gen(function* () {
            for (const query of ["cafe\u0301", "caf\u00e9", '"a CAFE\u0301"'])
              assert.sameMembers([...(yield* found(a, query))], bodies, query)
            assert.deepStrictEqual(yield* found(a, "cafe"), [])
          })
        )
      })
    )

    it.effect("takes any text as a query, and refuses bad limits and cursors", () =>
      Effect.gen(function* () {
        const { a, id } = yield* twoOfUs
        yield* say(id, a, "odd: 100% \\ 'quoted' <b> & | ! (x) :*")
        const odd = [
          "!!!",
          "'",
          "\\",
          "a & | ! b",
          '"',
          '"open',
          "((",
          ":*",
          "-",
          "- -",
          "or",
          "<->",
          "%_",
          "😀",
          "c 1"
        ]
        for (const query of [...odd, `${"x ".repeat(127)}y`, "x".repeat(256)]) {
          assert.strictEqual(yield* outcome(search(a, query)), "ok", query)
        }
        assert.deepStrictEqual(yield* found(a, "!!!"), [])
        assert.lengthOf(yield* found(a, "'quoted' & 100%"), 1)
        for (const limit of [0, 201]) assert.strictEqual(yield* refused(search(a, "x", {}, limit)), "limit")
        const beyond = (at: number) => cursorWith({ to: { at, conversationId: a, seq: 1 } })
        const place = { at: 0, conversationId: a, seq: 0 }
        assert.deepStrictEqual(
          (yield* search(a, "x", {}, 1, cursorWith({ to: place, from: place, more: true }))).items,
          []
        )
        for (const cursor of ["no cursor", beyond(9e15), beyond(-8.64e15)])
          assert.strictEqual(yield* refused(search(a, "x", {}, 1, cursor)), "cursor")
        assert.isTrue(isSearch({ query: "x" }))
        for (const query of ["", "  ", "a\u0000b", "x".repeat(257), "\ud800"]) assert.isFalse(decodes(query))
      })
    )

    it.effect("finds the current body of a message, and neither deleted nor hidden messages", () =>
      Effect.gen(function* () {
        const changes = yield* MessageChanges
        const { a, b, id } = yield* twoOfUs
        const edited = yield* say(id, a, "apple")
        const removed = yield* say(id, a, "pear one")
        const hidden = yield* say(id, a, "pear two")
        yield* say(id, a, "pear three")
        yield* twice(Effect.void)
        yield* changes.edit(a, id, edited.id, { body: "quince" })
        yield* changes.delete(a, id, removed.id)
        yield* changes.hide(b, id, hidden.id)
        yield* twice(
          Effect.gen(function* () {
            assert.deepStrictEqual(yield* found(b, "apple"), [])
            assert.deepStrictEqual(yield* found(b, "quince"), ["quince"])
            assert.deepStrictEqual(yield* found(b, "pear"), ["pear three"])
            assert.deepStrictEqual(yield* found(a, "pear"), ["pear three", "pear two"])
          })
        )
      })
    )
  })
}
