import { Effect } from "effect"
import type { UserId } from "../domain/Ids.ts"
import { bytesPer, HeavyReads } from "../services/platform/load/HeavyReads.ts"
import { asUserAtOnce } from "./Callers.ts"

type Handle<Payload, A, E> = (userId: UserId, payload: Payload) => Effect.Effect<A, E>

/** A list, or a part of one. */
interface Items {
  readonly items: ReadonlyArray<unknown>
}

/** Estimates the bytes of a list. `textOf` gives the text of an item that may be long. */
const bytesOf = <A extends Items>({ items }: A, textOf: (item: A["items"][number]) => string | undefined) =>
  items.reduce<number>((sum, item) => sum + bytesPer.item + (textOf(item)?.length ?? 0), 0)

/**
 * Makes handlers like `asUserAtOnce`, for operations with large answers: the calls wait for their turn, and their answers
 * count against the user. See `HeavyReads`.
 */
export const makeHeavyHandlers = Effect.map(HeavyReads, (reads) => ({
  /** Makes the handler of a list. `textOf` gives the text of an item that may be long. */
  asReader: <Payload, A extends Items, E>(
    handle: Handle<Payload, A, E>,
    textOf: (item: A["items"][number]) => string | undefined = () => undefined
  ) =>
    asUserAtOnce((userId, payload: Payload) =>
      reads.read(userId, handle(userId, payload), (answer) => bytesOf(answer, textOf))
    ),
  /** Makes the handler of a search. */
  asSearcher: <Payload, A extends Items, E>(
    handle: Handle<Payload, A, E>,
    textOf: (item: A["items"][number]) => string | undefined
  ) =>
    asUserAtOnce((userId, payload: Payload) =>
      reads.search(userId, handle(userId, payload), (answer) => bytesOf(answer, textOf))
    ),
  /** Makes the handler of another read, with the bytes that it counts. */
  asReaderOf: <Payload, A, E>(handle: Handle<Payload, A, E>, bytes: (answer: A, payload: Payload) => number) =>
    asUserAtOnce((userId, payload: Payload) =>
      reads.read(userId, handle(userId, payload), (answer) => bytes(answer, payload))
    )
}))
