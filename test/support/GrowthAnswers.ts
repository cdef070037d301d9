import { Effect, Layer, Stream } from "effect"
import { SqlClient } from "effect/sql"
import type { UserId } from "../../src/domain/Ids.ts"
import { AccountAdmin } from "../../src/services/admin/AccountAdmin.ts"
import { AccountExport } from "../../src/services/admin/AccountExport.ts"
import { Audit } from "../../src/services/admin/Audit.ts"
import { Blocks } from "../../src/services/conversations/Blocks.ts"
import { Conversations } from "../../src/services/conversations/Conversations.ts"
import { Invites } from "../../src/services/conversations/Invites.ts"
import { Members } from "../../src/services/conversations/Members.ts"
import { ReadMarkers } from "../../src/services/conversations/ReadMarkers.ts"
import { Contacts } from "../../src/services/identity/Contacts.ts"
import { Users } from "../../src/services/identity/Users.ts"
import { ChangeFeed } from "../../src/services/log/ChangeFeed.ts"
import { Log } from "../../src/services/log/Log.ts"
import { DisappearingMessages } from "../../src/services/messages/DisappearingMessages.ts"
import { Drafts } from "../../src/services/messages/Drafts.ts"
import { askForDueWork } from "../../src/services/messages/DueWork.ts"
import { Pins } from "../../src/services/messages/Pins.ts"
import { ScheduledMessages } from "../../src/services/messages/ScheduledMessages.ts"
import { Stars } from "../../src/services/messages/Stars.ts"
import { Sync } from "../../src/services/messages/Sync.ts"
import { makeIndexStep } from "../../src/services/messages/search/IndexStep.ts"
import { tokenizerVersion } from "../../src/services/messages/search/Tokenizer.ts"
import { Threads } from "../../src/services/messages/Threads.ts"
import { makePurge } from "../../src/services/platform/Purge.ts"
import { conversationOf, growth, messageOf, userOf } from "./GrowthData.ts"
import type { Answer } from "./GrowthWork.ts"
import { operators } from "./Operators.ts"

const { busy, crowd, deleted, kept, long, me, mentioning, sparse, thread, writer } = growth

type Query = Parameters<Log["Service"]["messages"]>[0]

const page = (place: Query["place"], conversationId = long) =>
  Log.use((log) => log.messages({ conversationId, userId: me, limit: 50, place }))

const replies = (place: Query["place"]) =>
  Log.use((log) => log.messages({ conversationId: thread, userId: me, limit: 50, replies: { to: 2 }, place }))

const conversation = (id: typeof long) => Conversations.use((conversations) => conversations.get(me, id))

const quiet = (count: number) => Array.from({ length: count }, (_, n) => conversationOf(growth.firstQuiet + n))

/** A page reads at most two windows for each message, and the messages. */
const onePage = { rows: 165, buffers: 60 }

/** Each message that is alone among others is found by two look-ups, in a window of four. */
const onePageAmongOthers = { rows: 51 * 11 + 165, buffers: 51 * 17 + 60 }

/** A page behind a run of messages that it leaves out reads one more window. */
const onePageBehindOthers = { rows: 230, buffers: 60 }

/** A search for a place takes a few buffers for each doubling of the thread. */
const onePageOfReplies = { rows: 230, buffers: 200 }

/** Up to a hundred unread messages are counted in windows of at most twice that, and so are mentions. */
const oneConversation = { rows: 400, buffers: 100 }

/** The memberships of both are counted up to a bound, and those of the one who has fewer are looked up. */
const oneAcquaintance = { rows: 250, buffers: 200 }

const knows = (viewerId: UserId, userId: UserId) => Contacts.use((contacts) => contacts.among([{ viewerId, userId }]))

/** What the service answers on the data of `fillForGrowth`, with the bounds of the work. */
export const answers: Record<string, Answer> = {
  "the newest page": { ...onePage, get: () => page({ newest: true }) },
  "a page before the middle": { ...onePage, get: (size) => page({ before: size / 2 }) },
  "a page after the middle": { ...onePage, get: (size) => page({ after: size / 2 }) },
  "a page around the middle": { ...onePage, get: (size) => page({ around: size / 2 }) },
  "the oldest page": { ...onePage, get: () => page({ after: 0 }) },
  "a page above a long thread": { ...onePageBehindOthers, get: () => page({ newest: true }, thread) },
  "a page below a long thread": { ...onePageBehindOthers, get: () => page({ after: 2 }, thread) },
  "a page of few messages among replies": { ...onePageAmongOthers, get: () => page({ newest: true }, sparse) },
  "a page around few messages among replies": {
    ...onePageAmongOthers,
    get: (size) => page({ around: size / 2 }, sparse)
  },
  "the newest replies of a thread": { ...onePageOfReplies, get: () => replies({ newest: true }) },
  "replies around the middle of a thread": { ...onePageOfReplies, get: (size) => replies({ around: size / 2 }) },
  "a thread with its state": {
    rows: 350,
    buffers: 330,
    get: () => Threads.use((threads) => threads.list(me, thread, messageOf(2, 2), { limit: 20 }))
  },
  "a long conversation": { ...oneConversation, get: () => conversation(long) },
  "a conversation with deleted messages": { ...oneConversation, get: () => conversation(deleted) },
  "a conversation with a long thread": { ...oneConversation, get: () => conversation(thread) },
  "a conversation with few messages among replies": {
    rows: 100 * 6 + 400,
    buffers: 100 * 9 + 100,
    get: () => conversation(sparse)
  },
  "a conversation with many mentions, after a long thread": {
    rows: 500,
    buffers: 500,
    get: () => conversation(mentioning)
  },
  // Members are counted from an index.
  "a conversation with many members": {
    rows: (size) => size / 4 + 100,
    buffers: (size) => size / 40 + 100,
    get: () => conversation(crowd)
  },
  // Own messages do not count as unread, and no index has them for each member. Sending moves the marker past them.
  "a conversation of own messages that is marked as unread": {
    rows: (size) => size + 100,
    buffers: (size) => size / 20 + 100,
    get: () => Conversations.use((conversations) => conversations.get(writer, kept))
  },
  "fifty conversations of a user in many": {
    rows: 50 * 12,
    buffers: 50 * 36,
    get: () => Conversations.use((conversations) => conversations.getMany(busy, quiet(50)))
  },
  // The planner may read all heads for a user who is in a third of the conversations. The order of the list changes
  // with each message, so it is sorted for each page.
  "the first page of the list of a user in many": {
    rows: (size, others) => (size / 10) * 3 + 50 * 12 + others,
    buffers: (size) => (size / 10) * 5 + 50 * 36,
    get: () => Conversations.use((conversations) => conversations.list(busy, { limit: 50 }))
  },
  "what is unread in all conversations of a user in many": {
    rows: (size, others) => (size / 10) * 6 + others,
    buffers: (size) => (size / 10) * 17,
    get: () => ReadMarkers.use((markers) => markers.unread(busy))
  },
  // Each of 51 users is looked up with one buffer more when the index of the users has one level more.
  "the first members of a large group": {
    rows: 310,
    buffers: 230,
    get: () => Members.use((members) => members.list(me, crowd, { limit: 50 }))
  },
  // Whether the group is full is counted, in a table of which the group is a third.
  "a member who is added to a large group": {
    rows: (size) => size + 100,
    buffers: (size) => size / 40 + 260,
    get: (size) => Members.use((members) => members.add(writer, crowd, [userOf(size + 5)]))
  },
  // Whether two users share a conversation is looked up in those of the second one.
  "a direct conversation with a stranger in many": {
    rows: (size) => size / 10 + 100,
    buffers: (size) => (size / 10) * 4 + 200,
    get: (size) =>
      Conversations.use((conversations) => conversations.create(userOf(size + 7), { kind: "dm", userId: busy }))
  },
  "whether a stranger knows a user in many": { ...oneAcquaintance, get: (size) => knows(userOf(size + 7), busy) },
  "whether a user in many knows a stranger": { ...oneAcquaintance, get: (size) => knows(busy, userOf(size + 7)) },
  "the profile of a stranger of another team, for a user in many": {
    ...oneAcquaintance,
    get: (size) => Users.use((users) => users.lookAt(busy, [userOf(size + 8)]))
  },
  // A user who is in few conversations, and has blocked many.
  "which of twenty members a user knows": {
    rows: 20 * 20,
    buffers: 20 * 60,
    get: () =>
      Contacts.use((contacts) =>
        contacts.among(Array.from({ length: 20 }, (_, n) => ({ viewerId: me, userId: userOf(n + 20) })))
      )
  },
  "the memberships of a user in many": {
    rows: (size, others) => (size / 10) * 3 + others,
    buffers: (size) => (size / 10) * 8 + 100,
    get: () => Conversations.use((conversations) => conversations.memberships(busy))
  },
  // All memberships are compared, but only some are told. Their members are counted.
  "a sync that knows nothing, of a user in many": {
    rows: (size, others) => (size / 10) * 3 + Math.min(size / 10, 500) * 12 + size / 4 + others,
    buffers: (size) => (size / 10) * 8 + Math.min(size / 10, 500) * 42 + 100,
    get: () => Sync.use((sync) => sync.sync(busy, { cursors: {} }))
  },
  "the first pins": { rows: 160, buffers: 100, get: () => Pins.use((pins) => pins.list(me, kept, { limit: 50 })) },
  "the first stars": {
    rows: 320,
    buffers: 700,
    needsStatistics: true,
    get: () => Stars.use((stars) => stars.list(me, { limit: 50 }))
  },
  "the stars that changed": {
    rows: 20,
    buffers: 40,
    get: (size) => Stars.use((stars) => stars.changedAfter(me, size - 5))
  },
  "users by the beginning of a name that many have": {
    rows: 60,
    buffers: 40,
    needsStatistics: true,
    get: () => Users.use((users) => users.search({ query: "anna", viewerId: me, limit: 20 }))
  },
  "users by the beginning of a name that nobody has": {
    rows: 10,
    buffers: 20,
    get: () => Users.use((users) => users.search({ query: "zzz", viewerId: me, limit: 20 }))
  },
  "users by the beginning of the names of guests": {
    rows: 10,
    buffers: 20,
    get: () => Users.use((users) => users.search({ query: "guest", viewerId: me, limit: 20 }))
  },
  // Where many have the name, the members of the user's conversations are looked through for those of other teams.
  "users by the beginning of a name that many have, for a user with a team in many": {
    rows: (size) => size + 250,
    buffers: (size) => (size / 10) * 13 + 100,
    needsStatistics: true,
    get: () => Users.use((users) => users.search({ query: "anna", viewerId: busy, limit: 20 }))
  },
  "users by a name that few have, for a user with a team in many": {
    ...oneAcquaintance,
    buffers: 250,
    get: (size) => Users.use((users) => users.search({ query: `anna${size + 8}`, viewerId: busy, limit: 20 }))
  },
  "the first blocks": {
    rows: 110,
    buffers: 250,
    needsStatistics: true,
    get: () => Blocks.use((blocks) => blocks.list(me, { limit: 50 }))
  },
  "the first invites of a group with many revoked ones": {
    rows: 110,
    buffers: 80,
    get: () => Invites.use((invites) => invites.list(writer, crowd, { limit: 50 }))
  },
  "the first drafts": {
    rows: 210,
    buffers: 650,
    needsStatistics: true,
    get: () => Drafts.use((drafts) => drafts.list(busy, { limit: 50 }))
  },
  "the first accounts": {
    rows: 60,
    buffers: 100,
    needsStatistics: true,
    get: () => AccountAdmin.use((accounts) => accounts.list({}, { limit: 50 }))
  },
  "the disabled accounts among many others": {
    rows: 0,
    buffers: 10,
    get: () => AccountAdmin.use((accounts) => accounts.list({ status: "disabled" }, { limit: 50 }))
  },
  "the newest lines of a long audit log": {
    rows: 60,
    buffers: 30,
    get: () => Audit.use((audit) => audit.list({ limit: 50 }))
  },
  // A part of a log is read whole, whosever messages it has, and a planner may read all reactions to its messages.
  "the beginning of an export": {
    rows: 200 * 3 + 2001 + 1000,
    buffers: 200 * 6 + 100,
    needsStatistics: true,
    get: () =>
      AccountExport.use((exports) =>
        Effect.flatMap(exports.open("cli:ann", writer), (lines) => Stream.runCollect(Stream.take(lines, 10)))
      )
  },
  "a look for scheduled messages when none is due": {
    rows: 0,
    buffers: 10,
    get: () => ScheduledMessages.use((messages) => messages.sendDue)
  },
  "a look for disappearing messages when none is due": {
    rows: 0,
    buffers: 10,
    get: () => DisappearingMessages.use((messages) => messages.expireDue)
  },
  // The place of the search index in the change feed, those of its two consumers, the cluster of the feed, and the next change.
  "a look for due work when there is none": { rows: 5, buffers: 15, get: () => SqlClient.SqlClient.use(askForDueWork) },
  // What was taken, and twice as many that are deleted, which are found by their order and then by their place.
  "the next changes of a long feed": {
    rows: 100 + 2 * 200 + 10,
    buffers: 480,
    get: () =>
      ChangeFeed.use((feed) => feed.consume("growth", 100, (changes) => Effect.succeed({ handled: changes.length })))
  },
  // Three messages of each conversation: its two heads, and for each message a look-up of it, and one of its events.
  "a step of the search index": {
    rows: 7 * (2 + 3 + 1),
    buffers: 7 * 32,
    get: () =>
      Effect.flatMap(makeIndexStep(tokenizerVersion, 200), ({ index }) =>
        index([long, thread, deleted, mentioning, crowd, kept, sparse])
      )
  },
  "a purge when nothing is old": { rows: 0, buffers: 30, get: () => Effect.flatten(makePurge) }
}

/** The services that answer, on a database. */
export const answering = Layer.mergeAll(Contacts.layer, DisappearingMessages.layer, Sync.layer).pipe(
  Layer.provideMerge(operators.sql)
)
