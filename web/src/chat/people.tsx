import { useChat } from "chat-service/client/react"
import { createContext, type ReactNode, use, useEffect, useState, useSyncExternalStore } from "react"
import type { ChatState, User } from "./types.ts"

/** At most this many profiles are asked for at once, so that other commands of the socket are not refused. */
const atOnce = 4

/** The profiles of the users whom the page shows, each asked for once. */
class People {
  private readonly known = new Map<string, User>()
  private readonly wanted = new Set<string>()
  private readonly queue: Array<string> = []
  private readonly listeners = new Set<() => void>()
  private asking = 0
  private readonly ask: (userId: string) => Promise<User>

  constructor(ask: (userId: string) => Promise<User>) {
    this.ask = ask
  }

  /** The profile of a user; undefined while it is unknown. */
  readonly get = (userId: string): User | undefined => this.known.get(userId)

  /** Learns profiles that came with something else. */
  add(users: ReadonlyArray<User>): void {
    let changed = false
    for (const user of users) {
      if (this.known.get(user.id) === user) continue
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

  /** Asks for the profile of a user who is unknown. One that cannot be had now is asked for when it is wanted again. */
  want(userId: string): void {
    if (this.known.has(userId) || this.wanted.has(userId)) return
    this.wanted.add(userId)
    this.queue.push(userId)
    void this.next()
  }

  private async next(): Promise<void> {
    const userId = this.asking < atOnce ? this.queue.shift() : undefined
    if (userId === undefined) return
    this.asking++
    try {
      this.add([await this.ask(userId)])
    } catch {
      // The user stays nameless until the next look.
    }
    this.asking--
    this.wanted.delete(userId)
    void this.next()
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
  const [people] = useState(() => new People((userId) => chat.ask("user.get", { userId })))
  useEffect(() => chat.subscribe(people.addAll), [chat, people])
  return <Context value={people}>{children}</Context>
}

/** The people whom this page knows. */
export const usePeople = (): People => {
  const people = use(Context)
  if (people === null) throw new Error("there is no PeopleProvider")
  return people
}

/** The profile of a user, which is asked for when it is unknown. */
export const useUser = (userId: string | undefined): User | undefined => {
  const people = usePeople()
  useEffect(() => {
    if (userId !== undefined) people.want(userId)
  }, [people, userId])
  return useSyncExternalStore(people.subscribe, () => (userId === undefined ? undefined : people.get(userId)))
}
