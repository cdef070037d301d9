import { randomUUID } from "node:crypto"
import { assert, describe, layer } from "@effect/vitest"
import { Context, Effect, Layer, Schema } from "effect"
import sharp from "sharp"
import { AttachmentLink } from "../../src/domain/Attachment.ts"
import { type Cluster, startCluster } from "../faults/Cluster.ts"
import { type Account, api } from "../support/Client.ts"
import { uploadTo } from "../support/Files.ts"
import { serversAreThere } from "../support/Servers.ts"

class TwoNodes extends Context.Service<TwoNodes, Cluster>()("chat/test/TwoNodesFiles") {
  static readonly layer = Layer.effect(TwoNodes, startCluster())
}

const decodeLink = Schema.decodeUnknownSync(AttachmentLink)

/** A picture that has a thumbnail. */
const picture = Effect.promise(() =>
  sharp({ create: { width: 400, height: 200, channels: 3, background: "red" } })
    .png()
    .toBuffer()
)

const ways = {
  get: { path: "", method: "GET" },
  head: { path: "", method: "HEAD" },
  thumbnail: { path: "?thumbnail=320", method: "GET" },
  range: { path: "", method: "GET", headers: { range: "bytes=0-0" } }
}

const everything = { get: 200, head: 200, thumbnail: 200, range: 206, link: 200, "link used": 200, "link in part": 206 }
const nothing = { get: 404, head: 404, thumbnail: 404, range: 404, link: 404 }

const statusOf = (
  url: string,
  { method = "GET", token, headers = {} }: { method?: string; token?: string; headers?: Record<string, string> }
) =>
  Effect.promise(async () => {
    const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` }
    const answer = await fetch(url, { method, headers: { ...headers, ...authorization } })
    await answer.arrayBuffer()
    return answer.status
  })

/** What a user can do with a file at a node, as statuses, and the link that the user gets. */
const tryAll = Effect.fnUntraced(function* (node: string, file: string, { token }: Account) {
  const statuses: Record<string, number> = {}
  for (const [name, { path, ...request }] of Object.entries(ways))
    statuses[name] = yield* statusOf(`${node}${file}${path}`, { ...request, token })
  const { body, status } = yield* api(node).ask("POST", `${file}/link`, { token })
  statuses.link = status
  if (status !== 200) return { statuses, link: undefined }
  const link = decodeLink(body).url
  statuses["link used"] = yield* statusOf(node + link, {})
  statuses["link in part"] = yield* statusOf(node + link, { headers: { range: "bytes=0-0" } })
  return { statuses, link }
})

/**
 * A group with a picture, whose members and strangers try everything at both nodes. Then a member leaves at one of them,
 * and tries again at both at once.
 */
const accessAt = Effect.fnUntraced(function* (here: string, there: string) {
  const http = api(here)
  const [owner, member, former, stranger] = [
    yield* http.register("owner"),
    yield* http.register("member"),
    yield* http.register("former"),
    yield* http.register("stranger")
  ]
  const conversationId = yield* http.group(owner, member, former)
  const { id, url: file } = yield* uploadTo(here, owner.token, yield* picture)
  const json = { clientMessageId: randomUUID(), body: "", type: "image", attachments: [id] }
  yield* http.must("POST", `/v1/conversations/${conversationId}/messages`, { token: owner.token, json })
  const links: Array<string> = []
  for (const node of [here, there]) {
    for (const person of [owner, member, former]) {
      const { link, statuses } = yield* tryAll(node, file, person)
      assert.deepStrictEqual(statuses, everything)
      if (person === former && link !== undefined) links.push(link)
    }
    assert.deepStrictEqual((yield* tryAll(node, file, stranger)).statuses, nothing)
  }
  yield* http.must("DELETE", `/v1/conversations/${conversationId}/members/${former.id}`, { token: owner.token })
  for (const node of [there, here]) {
    assert.deepStrictEqual((yield* tryAll(node, file, former)).statuses, nothing)
    assert.lengthOf(links, 2)
    for (const link of links) assert.strictEqual(yield* statusOf(node + link, {}), 404)
    assert.deepStrictEqual((yield* tryAll(node, file, member)).statuses, everything)
  }
})

const title = `a file at two nodes${serversAreThere ? "" : " (no PostgreSQL 15, NATS or Redis to start)"}`

describe.skipIf(!serversAreThere)(title, () => {
  layer(TwoNodes.layer, { excludeTestServices: true })((it) => {
    it.effect("is for members, by every way, and no longer for who was removed at the other node", () =>
      Effect.gen(function* () {
        const [a, b] = (yield* TwoNodes).nodes
        yield* accessAt(a.url, b.url)
      })
    )

    it.effect("is that also while the nodes cannot tell each other", () =>
      Effect.gen(function* () {
        const { nats, nodes } = yield* TwoNodes
        const [a, b] = nodes
        if (nats === undefined) return assert.fail("there is no NATS")
        yield* nats.kill
        yield* accessAt(b.url, a.url).pipe(Effect.ensuring(Effect.orDie(nats.start)))
      })
    )
  })
})
