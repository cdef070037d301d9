import type { Database } from "./Database.ts"

/** The part of IndexedDB that is used here. The types of browsers are not known where this is compiled. */
interface IdbRequest<A> extends EventTarget {
  readonly result: A
  readonly error: Error | null
}
interface IdbStore {
  getAll(range: unknown): IdbRequest<ReadonlyArray<unknown>>
  getAllKeys(range: unknown): IdbRequest<ReadonlyArray<unknown>>
  put(value: unknown, key: string): unknown
  delete(key: string): unknown
}
interface IdbTransaction extends EventTarget {
  readonly error: Error | null
  objectStore(name: string): IdbStore
}
interface IdbDatabase extends EventTarget {
  createObjectStore(name: string): unknown
  transaction(store: string, mode: "readonly" | "readwrite"): IdbTransaction
  close(): void
}
interface IdbFactory {
  open(name: string, version: number): IdbRequest<IdbDatabase>
}

const store = "entries"

/** Above every key that begins with a prefix. */
const last = "\uffff"

const done = (target: EventTarget & { readonly error: Error | null }, success: string) =>
  new Promise<void>((resolve, reject) => {
    target.addEventListener(success, () => resolve())
    for (const failure of ["error", "abort"])
      target.addEventListener(failure, () => reject(target.error ?? new Error("IndexedDB has failed")))
  })

const openDatabase = async (name: string): Promise<IdbDatabase> => {
  const factory: IdbFactory | undefined = Reflect.get(globalThis, "indexedDB")
  if (factory === undefined) throw new Error("This platform has no IndexedDB")
  const request = factory.open(name, 1)
  request.addEventListener("upgradeneeded", () => request.result.createObjectStore(store))
  await done(request, "success")
  return request.result
}

/** A database in the IndexedDB of a browser, which all tabs of the origin share. */
export const indexedDatabase = (name = "chat-service"): Database => {
  let opened: Promise<IdbDatabase> | undefined

  /** Opens it when it is first used, and again after the browser has closed it. */
  const open = () => {
    if (opened !== undefined) return opened
    const opening = openDatabase(name).then((database) => {
      const forget = () => {
        database.close()
        opened = undefined
      }
      // Another page deletes the database, or the browser has taken it away.
      for (const end of ["versionchange", "close"]) database.addEventListener(end, forget)
      return database
    })
    opening.catch(() => {
      opened = undefined
    })
    opened = opening
    return opening
  }

  return {
    name,
    read: async (prefix) => {
      const entries = (await open()).transaction(store, "readonly").objectStore(store)
      const range = Reflect.get(globalThis, "IDBKeyRange").bound(prefix, prefix + last)
      const [keys, values] = [entries.getAllKeys(range), entries.getAll(range)]
      await Promise.all([done(keys, "success"), done(values, "success")])
      return keys.result.map((key, index) => [String(key), values.result[index]] as const)
    },
    write: async ({ put, remove }) => {
      const transaction = (await open()).transaction(store, "readwrite")
      const entries = transaction.objectStore(store)
      for (const key of remove) entries.delete(key)
      for (const [key, value] of put) entries.put(value, key)
      await done(transaction, "complete")
    }
  }
}
