import { randomUUID } from "node:crypto"
import { Clock, Duration, Effect, Layer } from "effect"
import type { AttachmentId, UserId } from "../../domain/Ids.ts"
import type { Part } from "../../services/files/Parts.ts"
import { type ResumableUpload, ResumableUploadStorage } from "../../services/files/ResumableUploadStorage.ts"
import { ResumableUploads } from "../../services/files/ResumableUploads.ts"
import { UploadLimits } from "../../services/files/UploadLimits.ts"
import { receivedOf, type UploadRow } from "./FileRows.ts"
import { fullness, Memory, storedOf } from "./State.ts"
import * as Uploaders from "./Uploaders.ts"

/** An upload ends by itself so long after its first part: `unbound_period` in SQL. */
const period = Duration.toMillis("24 hours")

/** An upload of which nothing has arrived ends after this long: `unreceived_period` in SQL. */
const unreceivedPeriod = Duration.toMillis("1 hour")

/** A user can have so many uploads under way: `max_uploads` in SQL. */
const maxUploads = 100

/** A writer holds an upload for this long after each of its calls: `upload_lease` in SQL. */
const lease = Duration.toMillis("6 seconds")

const newRow = { writer: null, writerUntil: 0, blobs: [], parts: [] }

const shown = (id: AttachmentId, { blobs, expiresAt, metadata, name, parts, size }: UploadRow): ResumableUpload => ({
  id,
  size,
  offset: receivedOf({ parts }),
  parts: blobs.length,
  name,
  metadata,
  expiresAt: new Date(expiresAt)
})

/** Whether an upload has ended, and no writer holds it. */
const isOver = ({ expiresAt, writer, writerUntil }: UploadRow, now: number) =>
  expiresAt <= now && (writer === null || writerUntil <= now)

type Storage = ResumableUploadStorage["Service"]
type Rows = Memory["Service"]["uploads"]

/** Makes the function that finds an upload that has not ended. */
const finding =
  (uploads: Rows) =>
  (id: AttachmentId, now: number, fits: (row: UploadRow) => boolean): UploadRow | undefined => {
    const row = uploads.get(id)
    return row !== undefined && row.expiresAt > now && fits(row) ? row : undefined
  }

const isOf = (userId: UserId) => (row: UploadRow) => row.ownerId === userId
const isHeldBy = (writer: string) => (row: UploadRow) => row.writer === writer

/** What a writer does. */
const writing = (memory: Memory["Service"]): Pick<Storage, "hold" | "keep" | "add" | "release"> => {
  const { uploads } = memory
  const find = finding(uploads)

  /** Changes an upload that a writer holds, and prolongs its lease. False when the writer has lost it. */
  const change = (id: AttachmentId, writer: string, next: (row: UploadRow, now: number) => Partial<UploadRow>) =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      const row = find(id, now, isHeldBy(writer))
      if (row !== undefined) uploads.set(id, { ...row, writerUntil: now + lease, ...next(row, now) })
      return row !== undefined
    })

  return {
    hold: (userId, id, writer) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const row = find(id, now, isOf(userId))
        if (row === undefined) return undefined
        if (row.writer !== null && row.writerUntil > now) return "locked"
        uploads.set(id, { ...row, writer, writerUntil: now + lease })
        return shown(id, row)
      }),
    keep: (id, writer, blobId) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const row = uploads.get(id)
        if (row?.writer !== writer) return false
        const isOpen = row.expiresAt > now
        const added = isOpen && blobId !== undefined ? [blobId] : []
        uploads.set(id, { ...row, writerUntil: now + lease, blobs: [...row.blobs, ...added] })
        return isOpen
      }),
    add: (id, writer, added, all) =>
      Effect.suspend(() => {
        const bytes = storedOf(memory) + receivedOf({ parts: added })
        if (all !== null && bytes > all) return Effect.succeed("store-full" as const)
        const next = ({ expiresAt, parts }: UploadRow, now: number) => ({
          parts: [...parts, ...added],
          expiresAt: parts.length === 0 && added.length > 0 ? now + period : expiresAt
        })
        return Effect.map(change(id, writer, next), (held) => (held ? ("added" as const) : ("lost" as const)))
      }),
    release: (id, writer) =>
      Effect.sync(() => {
        const row = uploads.get(id)
        if (row?.writer === writer) uploads.set(id, { ...row, writer: null })
      })
  }
}

/** Uploads that are under way, in `Memory`. */
export const storage = Layer.effect(
  ResumableUploadStorage,
  Effect.gen(function* () {
    const memory = yield* Memory
    const { uploads } = memory
    const find = finding(uploads)

    return ResumableUploadStorage.of({
      create: Effect.fnUntraced(function* (userId, { id, metadata, name, size }, limits) {
        const now = yield* Clock.currentTimeMillis
        const full = fullness(memory, userId, id, { bytes: size, stored: size }, limits)
        if (full !== undefined) return full
        if ([...uploads.values()].filter(isOf(userId)).length >= maxUploads) return "too-many"
        const row = { ...newRow, ownerId: userId, size, name, metadata, expiresAt: now + unreceivedPeriod }
        uploads.set(id, row)
        return shown(id, row)
      }, memory.atomically),
      get: (userId, id) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          const row = find(id, now, isOf(userId))
          return row && shown(id, row)
        }),
      ...writing(memory),
      parts: (id) =>
        Effect.sync(() => {
          const parts: ReadonlyArray<Part> = uploads.get(id)?.parts ?? []
          return parts.toSorted((one, other) => one.start - other.start)
        }),
      drop: (id, blobIds) =>
        Effect.sync(() => {
          const row = uploads.get(id)
          const added = new Set(row?.parts.map(({ blobId }) => blobId))
          const isDropped = (blobId: string) => blobIds.includes(blobId) && !added.has(blobId)
          if (row !== undefined) uploads.set(id, { ...row, blobs: row.blobs.filter((blobId) => !isDropped(blobId)) })
        }),
      end: (userId, id, writer) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          const row = find(id, now, (row) => isOf(userId)(row) && row.writer === (writer ?? row.writer))
          if (row !== undefined) uploads.set(id, { ...row, expiresAt: now })
          return row !== undefined
        }),
      ended: (limit, only) =>
        Effect.map(Clock.currentTimeMillis, (now) =>
          [...uploads]
            .filter(([id, row]) => id === (only ?? id) && isOver(row, now))
            .map(([id]) => id)
            .slice(0, limit)
        ),
      postpone: (id) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          const row = uploads.get(id)
          if (row === undefined || (row.writer !== null && row.writerUntil > now)) return
          uploads.set(id, { ...row, writer: randomUUID(), writerUntil: now + Duration.toMillis("5 minutes") })
        }),
      blobs: (id) => Effect.sync(() => uploads.get(id)?.blobs ?? []),
      forget: (id) => Effect.sync(() => void uploads.delete(id))
    })
  })
)

/** Uploads that are under way in `Memory`, on any `Blobs`. */
export const layerMemory = ResumableUploads.layerNoDeps.pipe(
  Layer.provide([storage, Uploaders.layerMemory, UploadLimits.layer])
)
