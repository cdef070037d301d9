import { useChat } from "chat-service/client/react"
import { createContext, type ReactNode, use, useEffect, useState, useSyncExternalStore } from "react"
import type { ChatState, User } from "./types.ts"

/** The service answers at most this many profiles at once. */
const atOnce = 200

/** A profile is asked for again when it is shown and older than this: nothing tells all changes. */
const lastingMs = 55_000

/** How often those who are shown are looked at. */
const refreshMs = 60_000

const isSame = (one: User | undefined, other: User) => JSON.stringify(one) === JSON.stringify(other)

/** The profiles of the users whom the page shows. Those that are wanted at the same time are asked for together. */
class People {
  private readonly known = new Map<string, User>()
  /** Profiles that were taken: the state keeps giving those that it has, while later ones may have come. */
  private readonly taken = new WeakSet<User>()
  private readonly askedAt = new Map<string, number>()
  private readonly wanted = new Set<string>()
  /** How often each user is shown at present. */
  private readonly shown = new Map<string, number>()
  private readonly listeners = new Set<() => void>()
  private readonly ask: (userIds: ReadonlyArray<string>) => Promise<ReadonlyArray<User>>

  constructor(ask: (userIds: ReadonlyArray<string>) => Promise<ReadonlyArray<User>>) {
    this.ask = ask
  }

  /** The profile of a user; undefined while it is unknown. */
  readonly get = (userId: string): User | undefined => this.known.get(userId)

  /** Learns profiles that came with something else. */
  add(users: ReadonlyArray<User>): void {
    let changed = false
    for (const user of users) {
      if (this.taken.has(user)) continue
      this.taken.add(user)
      if (isSame(this.known.get(user.id), user)) continue
      this.known.set(user.id, user)
      changed = true
    }
    if (changed) for (const listener of this.listeners) listener()
  }

  /** Learns the profiles that the state has. */
  readonly addAll = ({ conversations, me }: ChatState): void =>
    this.add([
      ...(me === null ? [] : [me]),
      ...[...conversations.values()].flatMap(({ conversation: { peer } }) => (peer === null ? [] : [peer]))
    ])

  /** Keeps the profile of a user up to date until the returned function is called. */
  show(userId: string): () => void {
    this.shown.set(userId, (this.shown.get(userId) ?? 0) + 1)
    this.want(userId)
    return () => {
      const times = (this.shown.get(userId) ?? 0) - 1
      if (times > 0) this.shown.set(userId, times)
      else this.shown.delete(userId)
    }
  }

  /** Asks again for those who are shown. */
  readonly refresh = (): void => {
    for (const userId of this.shown.keys()) this.want(userId)
  }

  private want(userId: string): void {
    if (performance.now() - (this.askedAt.get(userId) ?? Number.NEGATIVE_INFINITY) < lastingMs) return
    this.askedAt.set(userId, performance.now())
    this.wanted.add(userId)
    if (this.wanted.size === 1) queueMicrotask(() => void this.askAll())
  }

  private async askAll(): Promise<void> {
    const userIds = [...this.wanted]
    this.wanted.clear()
    for (let from = 0; from < userIds.length; from += atOnce) {
      const some = userIds.slice(from, from + atOnce)
      try {
        this.add(await this.ask(some))
      } catch {
        // They are asked for again when they are wanted again.
        for (const userId of some) this.askedAt.delete(userId)
      }
    }
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener)
    return () => void this.listeners.delete(listener)
  }
}

const Context = createContext<People | null>(null)

/** Knows the people of the client of the `ChatProvider` above. */
export const PeopleProvider = ({ children }: { readonly children: ReactNode }) => {
  const chat = useChat()
  const [people] = useState(() => new People(async (userIds) => (await chat.ask("user.list", { userIds })).items))
  useEffect(() => chat.subscribe(people.addAll), [chat, people])
  useEffect(() => chat.on("user.updated", ({ data }) => people.add([data.user])), [chat, people])
  useEffect(() => {
    const timer = setInterval(() => document.visibilityState === "visible" && people.refresh(), refreshMs)
    return () => clearInterval(timer)
  }, [people])
  return <Context value={people}>{children}</Context>
}

/** The people whom this page knows. */
export const usePeople = (): People => {
  const people = use(Context)
  if (people === null) throw new Error("there is no PeopleProvider")
  return people
}

/** The profile of a user, which is asked for when it is unknown, and kept up to date. */
export const useUser = (userId: string | undefined): User | undefined => {
  const people = usePeople()
  useEffect(() => (userId === undefined ? undefined : people.show(userId)), [people, userId])
  return useSyncExternalStore(people.subscribe, () => (userId === undefined ? undefined : people.get(userId)))
}
