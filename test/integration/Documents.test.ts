import { readFileSync } from "node:fs"
import { Parser } from "@asyncapi/parser"
import { assert, describe, it, layer } from "@effect/vitest"
import * as Spectral from "@stoplight/spectral-core"
import * as Rulesets from "@stoplight/spectral-rulesets"
import { Effect, Layer } from "effect"
import { HttpRouter } from "effect/http"
import { capacityPlots } from "../../scripts/capacityPlots.ts"
import { clientEntries, clientReference, describeExport, exportsOf } from "../../scripts/clientReference.ts"
import { CloseCode, socketCommands } from "../../src/domain/Protocol.ts"
import { asyncApiDocument, openApiDocument } from "../../src/http/documents/Docs.ts"
import { isRecord } from "../../src/http/documents/JsonSchemas.ts"
import { withRealtimeTables } from "../../src/http/documents/RealtimeTables.ts"
import { MetricsRoute } from "../../src/http/server/MetricsServer.ts"
import { HttpRoutes } from "../../src/http/server/Server.ts"
import { AllOperations } from "../../src/operations/Operations.ts"
import { RpcRoutes } from "../../src/rpc/RpcRoutes.ts"
import { fakeServices } from "../../src/testing/FakeServices.ts"
import { HttpService, httpService } from "../support/HttpService.ts"

const entries = (value: unknown) => Object.entries(isRecord(value) ? value : {})

const openApi = openApiDocument()
const asyncApi = asyncApiDocument()

const described = entries(openApi.paths).flatMap(([path, item]) =>
  entries(item).map(([method, operation]) => ({
    route: `${method.toUpperCase()} ${path}`,
    id: isRecord(operation) ? String(operation.operationId) : "",
    operation: isRecord(operation) ? operation : {}
  }))
)

/** All routes that are added to the router. */
const served: Array<string> = []

const recording = Layer.effect(
  HttpRouter.HttpRouter,
  Effect.map(HttpRouter.HttpRouter, (router) =>
    HttpRouter.HttpRouter.of({
      ...router,
      add: (method, path, handler, options) => {
        served.push(`${method} ${path}`)
        return router.add(method, path, handler, options)
      },
      addAll: (routes) => {
        for (const { method, path } of routes) served.push(`${method} ${path}`)
        return router.addAll(routes)
      }
    })
  )
)

const recordedService = httpService(
  Layer.mergeAll(HttpRoutes, RpcRoutes, MetricsRoute).pipe(Layer.provide(recording))
).pipe(Layer.provideMerge(fakeServices()))

const oas: Spectral.RulesetDefinition = Object(Rulesets.oas)

/** The bytes of files go over HTTP alone. */
const bytes = [
  "attachment.get",
  "attachment.upload",
  "avatar.get",
  "conversation.setAvatar",
  "upload.append",
  "upload.create",
  "upload.delete",
  "upload.get",
  "user.setAvatar"
]

describe("documents", () => {
  it("OpenAPI passes its linter", async () => {
    const linter = new Spectral.Spectral()
    linter.setRuleset({
      extends: [[oas, "recommended"]],
      // The document names no contact, because it does not know who runs the service; and the handshake of a WebSocket
      // succeeds with 101.
      rules: { "info-contact": "off", "operation-success-response": "off" }
    })
    const found = await linter.run(JSON.parse(JSON.stringify(openApi)))
    assert.deepStrictEqual(
      found.map(({ message, path }) => `${path.join(" ")}: ${message}`),
      []
    )
  })

  it("AsyncAPI passes its parser", async () => {
    const found = await new Parser().validate(JSON.stringify(asyncApi))
    assert.deepStrictEqual(
      found.map(({ message, path }) => `${path.join(" ")}: ${message}`),
      []
    )
    // This takes some seconds, and more on a busy machine.
  })

  it("an operation has one name over HTTP, RPC and WebSocket", () => {
    const overHttp = described.filter(({ operation }) => JSON.stringify(operation.tags) !== '["system"]')
    // Over HTTP each of these operations is another one with a parameter or a body, or it does not exist.
    const notOverHttp = new Set(["delivered.mark", "message.hide", "typing.stop"])
    assert.deepStrictEqual(
      overHttp
        .map(({ id }) => id)
        .filter((id) => !bytes.includes(id))
        .sort(),
      [...AllOperations.requests.keys()].filter((name) => !notOverHttp.has(name)).sort()
    )
    const overRpcAlone = [
      "auth.reset",
      "auth.register",
      "auth.login",
      "auth.exchange",
      "auth.refresh",
      "invite.guest",
      "events.stream"
    ]
    // Sockets belong to users.
    const ofOperators = [...AllOperations.requests.keys()].filter((name) => /^(token|audit|admin|server)\./.test(name))
    const commands = entries(asyncApi.operations).flatMap(([name, operation]) =>
      isRecord(operation) && operation.action === "receive" ? [name] : []
    )
    assert.deepStrictEqual(
      [...commands, ...overRpcAlone, ...ofOperators].sort(),
      [...new Set([...AllOperations.requests.keys(), ...Object.keys(socketCommands)])].sort()
    )
  })

  it("every operation says who may call it, and with which problems it answers", () => {
    for (const { id, operation, route } of described) {
      if (JSON.stringify(operation.tags) === '["system"]') continue
      const statuses = entries(operation.responses).map(([status]) => status)
      const open = /^(auth\.(register|login|exchange|refresh|reset)|avatar\.get|invite\.guest)$/.test(id)
      // A link has a signature in place of a token.
      const ofUsers = open ? [] : [{ bearer: [] }, { cookie: [] }, ...(id === "attachment.get" ? [{}] : [])]
      const ofOperators = /^(token|audit|admin|server)\./.test(id)
      assert.deepStrictEqual(operation.security, ofOperators ? [{ serviceToken: [] }] : ofUsers, id)
      assert.includeMembers(statuses, ["400", "500", "503", ...(open ? [] : ["401", "429"])], id)
      // The router takes no path with a semicolon or with a very long parameter, for example.
      if (route.includes("{")) assert.include(statuses, "404", id)
      assert.isAbove(String(operation.description ?? "").length, 0, id)
    }
  })

  it("a body that may be left out is optional, and null is not an alternative to it", () => {
    for (const name of ["invite.create", "typing.start"]) {
      const body = described.find(({ id }) => id === name)?.operation.requestBody
      assert.isTrue(isRecord(body) && body.required === false, name)
      assert.notInclude(JSON.stringify(body), "null", name)
    }
  })

  it("every command and every event says what it is for", () => {
    for (const [name, operation] of entries(asyncApi.operations))
      assert.isAbove(String(isRecord(operation) ? (operation.summary ?? "") : "").length, 0, name)
    for (const [name, message] of entries(isRecord(asyncApi.components) ? asyncApi.components.messages : {}))
      if (name.startsWith("event.")) assert.isTrue(isRecord(message) && typeof message.summary === "string", name)
  })

  it("every close code is described", () => {
    const codes = entries(isRecord(asyncApi.info) ? asyncApi.info["x-close-codes"] : {})
    assert.deepStrictEqual(codes.map(([code]) => Number(code)).sort(), Object.values(CloseCode).sort())
  })

  it("no schema forbids the fields of later releases", () => {
    for (const document of [openApi, asyncApi])
      assert.notInclude(JSON.stringify(document), 'additionalProperties":false')
  })
})

layer(recordedService, { excludeTestServices: true })("documents are served", (it) => {
  it.effect("as they were generated", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      for (const [path, document] of [
        ["/openapi.json", openApi],
        ["/asyncapi.json", asyncApi]
      ] as const) {
        const { headers, json } = yield* ask(path)
        assert.strictEqual(headers.get("content-type"), "application/json")
        assert.deepStrictEqual(json, JSON.parse(JSON.stringify(document)))
      }
    })
  )

  it.effect("for every route that is served, and no other", () =>
    Effect.sync(() => {
      // The gateway is not one of the routes here.
      const routes = [...served.map((route) => route.replace(/:(\w+)/g, "{$1}")), "GET /v1/ws", "GET /ws"]
      assert.deepStrictEqual(described.map(({ route }) => route).sort(), routes.sort())
    })
  )

  it.effect("compressed once, and not sent again to clients that have them", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const sizes: Array<number> = []
      for (const path of ["/docs", "/docs/events", "/openapi.json", "/asyncapi.json"]) {
        const plain = yield* ask(path, { headers: { "accept-encoding": "identity" } })
        assert.isNull(plain.headers.get("content-encoding"))
        const tags = new Set([plain.headers.get("etag")])
        for (const encoding of ["br", "gzip"]) {
          const { headers, text } = yield* ask(path, { headers: { "accept-encoding": encoding } })
          assert.deepStrictEqual([headers.get("content-encoding"), headers.get("vary")], [encoding, "accept-encoding"])
          // The HTTP client has decompressed the body.
          assert.strictEqual(text, plain.text)
          assert.isBelow(Number(headers.get("content-length")) * 2, text.length)
          const etag = headers.get("etag") ?? ""
          tags.add(etag)
          const again = yield* ask(path, {
            headers: { "accept-encoding": encoding, "if-none-match": `"x", W/${etag}` }
          })
          assert.deepStrictEqual([again.status, again.text], [304, ""])
        }
        assert.strictEqual(tags.size, 3)
        const refused = yield* ask(path, { headers: { "accept-encoding": "br;q=0, gzip;q=0.5" } })
        assert.strictEqual(refused.headers.get("content-encoding"), "gzip")
        sizes.push(plain.text.length)
      }
      assert.isAbove(Math.max(...sizes), 1_000_000)
    })
  )

  it.effect("with pages that need no other server", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      for (const path of ["/docs", "/docs/events"]) {
        const { headers, status, text } = yield* ask(path)
        assert.strictEqual(status, 200)
        assert.match(headers.get("content-type") ?? "", /^text\/html/)
        assert.include(headers.get("content-security-policy") ?? "", "connect-src 'self'")
        assert.notMatch(text, /<(script|link|img)[^>]+(src|href)="?https?:/)
      }
    })
  )
})

/** A page of the documentation that is generated in part. */
const realtime = readFileSync(new URL("../../docs/realtime.md", import.meta.url), "utf8")

/** A change of the API shows as a change of these files. */
describe("the committed documents", () => {
  it("docs/realtime.md has the declared commands and events in its tables", () => {
    assert.strictEqual(
      withRealtimeTables(realtime),
      realtime,
      "The commands or events have changed. If that is meant: npm run documents, and commit docs/realtime.md"
    )
  })

  it("docs/client-api.md describes everything that the client exports", async () => {
    const committed = readFileSync(new URL("../../docs/client-api.md", import.meta.url), "utf8")
    assert.strictEqual(
      clientReference(),
      committed,
      "The client has changed. If that is meant: npm run documents, and commit docs/client-api.md"
    )
    for (const [entry, file] of Object.entries(clientEntries)) {
      const described = exportsOf(file).map(describeExport)
      const names = new Set(described.map(({ name }) => name))
      const exported: object = await import(entry)
      assert.deepStrictEqual(
        Object.keys(exported).filter((name) => !names.has(name)),
        [],
        entry
      )
      const calls = described.flatMap(({ members }) => members.filter(({ signature }) => signature.includes("(")))
      assert.deepStrictEqual(
        [...described.map(({ title, words }) => ({ signature: title, words })), ...calls].filter(
          ({ words }) => words === ""
        ),
        []
      )
    }
  })

  for (const [name, plot] of capacityPlots(readFileSync(new URL("../../docs/capacity.md", import.meta.url), "utf8"))) {
    it(`docs/pictures/${name} shows the tables of docs/capacity.md`, () => {
      const committed = readFileSync(new URL(`../../docs/pictures/${name}`, import.meta.url), "utf8")
      assert.strictEqual(
        plot,
        committed,
        `The tables have changed. Run: npm run documents, and commit docs/pictures/${name}`
      )
    })
  }

  for (const [name, document] of [
    ["openapi", openApi],
    ["asyncapi", asyncApi]
  ] as const) {
    it(`docs/${name}.json equals the served document`, () => {
      const committed = readFileSync(new URL(`../../docs/${name}.json`, import.meta.url), "utf8")
      assert.deepStrictEqual(
        JSON.parse(JSON.stringify(document)),
        JSON.parse(committed),
        `The API has changed. If that is meant: npm run documents, and commit docs/${name}.json`
      )
    })
  }
})
