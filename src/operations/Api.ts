import { HttpApi, HttpApiGroup, OpenApi } from "effect/http-api"
import { Problems } from "./Callers.ts"
import type { AnyOperation } from "./Operation.ts"
import { features } from "./Operations.ts"
import { System } from "./System.ts"

/** Any of the operations. */
export type Declared = (typeof features)[number]["operations"][number]

type Word<Name> = Name extends `${infer First}.${string}` ? First : never
type Endpoint<First extends string> = Exclude<
  Extract<Declared, { readonly name: `${First}.${string}` }>["endpoint"],
  undefined
>
type Group<First extends string> = First extends string
  ? [Endpoint<First>] extends [never]
    ? never
    : HttpApiGroup.HttpApiGroup<First, Endpoint<First>>
  : never
type Groups = Group<Word<Declared["name"]>>

/** The endpoints in groups by the first word of their names, which clients have as `http.<group>.<endpoint>`. */
function groups(): readonly [Groups, ...ReadonlyArray<Groups>]
function groups(): ReadonlyArray<HttpApiGroup.Constraint> {
  const descriptions = new Map(features.flatMap((each) => Object.entries(each.groups)))
  const byWord = new Map<string, HttpApiGroup.HttpApiGroup<string, NonNullable<AnyOperation["endpoint"]>>>()
  for (const { endpoint, name } of features.flatMap((each): ReadonlyArray<AnyOperation> => each.operations)) {
    if (endpoint === undefined) continue
    const [word = ""] = name.split(".")
    const description = descriptions.get(word)
    if (description === undefined) throw new Error(`no feature says what the group ${word} is about`)
    const group = byWord.get(word) ?? HttpApiGroup.make(word).annotateMerge(OpenApi.annotations({ description }))
    byWord.set(word, group.add(endpoint))
  }
  return [...byWord.values()]
}

/** The contract of the HTTP API. It has no handlers, so that clients can import it. */
export class Api extends HttpApi.make("chat")
  .add(...groups(), System)
  .middleware(Problems)
  .annotate(HttpApi.QueryParseOptions, { errors: "all" }) {}
