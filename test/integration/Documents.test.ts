import { readFileSync } from "node:fs"
import { Parser } from "@asyncapi/parser"
import { assert, describe, it, layer } from "@effect/vitest"
import * as Spectral from "@stoplight/spectral-core"
import * as Rulesets from "@stoplight/spectral-rulesets"
import { Effect, Layer } from "effect"
import { HttpRouter } from "effect/http"
import { asyncApiDocument, openApiDocument } from "../../src/http/Docs.ts"
import { isRecord } from "../../src/http/JsonSchemas.ts"
import { MetricsRoute } from "../../src/http/MetricsServer.ts"
import { RpcRoutes } from "../../src/http/RpcRoutes.ts"
import { HttpRoutes } from "../../src/http/Server.ts"
import { AllOperations } from "../../src/rpc/Operations.ts"
import { fakeServices } from "../../src/testing/FakeServices.ts"
import { CloseCode } from "../../src/ws/Protocol.ts"
import { socketCommands } from "../../src/ws/SocketCommands.ts"
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

/** Every route that is added to the router. */
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

describe("documents", () => {
  it("OpenAPI passes its linter", async () => {
    const linter = new Spectral.Spectral()
    linter.setRuleset({
      extends: [[oas, "recommended"]],
      // Nobody in particular runs the service; and a WebSocket's handshake succeeds with 101.
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
    // Some seconds of work, and more on a busy machine.
  }, 120_000)

  it("an operation has one name over HTTP, RPC and WebSocket", () => {
    const overHttp = described.filter(({ operation }) => JSON.stringify(operation.tags) !== '["system"]')
    // Over HTTP each of these is another operation with a parameter or a body that says so, or is not there.
    const notOverHttp = new Set(["delivered.mark", "message.hide", "typing.stop"])
    assert.deepStrictEqual(
      overHttp.map(({ id }) => id).sort(),
      [...AllOperations.requests.keys()].filter((name) => !notOverHttp.has(name)).sort()
    )
    const overRpcAlone = ["auth.register", "auth.login", "auth.refresh", "events.stream"]
    const commands = entries(asyncApi.operations).flatMap(([name, operation]) =>
      isRecord(operation) && operation.action === "receive" ? [name] : []
    )
    assert.deepStrictEqual(
      [...commands, ...overRpcAlone].sort(),
      [...new Set([...AllOperations.requests.keys(), ...Object.keys(socketCommands)])].sort()
    )
  })

  it("every operation says who may call it, and what goes wrong", () => {
    for (const { id, operation } of described) {
      if (JSON.stringify(operation.tags) === '["system"]') continue
      const statuses = entries(operation.responses).map(([status]) => status)
      const open = /^auth\.(register|login|refresh)$/.test(id)
      assert.deepStrictEqual(operation.security, open ? [] : [{ bearer: [] }, { cookie: [] }], id)
      assert.includeMembers(statuses, ["400", "500", "503", ...(open ? [] : ["401", "429"])], id)
      assert.isAbove(String(operation.description ?? "").length, 0, id)
    }
  })

  it("every close code is described", () => {
    const codes = entries(isRecord(asyncApi.info) ? asyncApi.info["x-close-codes"] : {})
    assert.deepStrictEqual(codes.map(([code]) => Number(code)).sort(), Object.values(CloseCode).sort())
  })

  it("nothing forbids fields of later versions", () => {
    for (const document of [openApi, asyncApi])
      assert.notInclude(JSON.stringify(document), 'additionalProperties":false')
  })
})

layer(recordedService, { excludeTestServices: true })("documents are served", (it) => {
  it.effect("as they are", () =>
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
      // The gateway is not among the routes here.
      const routes = [...served.map((route) => route.replace(/:(\w+)/g, "{$1}")), "GET /v1/ws", "GET /ws"]
      assert.deepStrictEqual(described.map(({ route }) => route).sort(), routes.sort())
    })
  )

  it.effect("with pages to read them, which work by themselves", () =>
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

/** A change of what clients rely on is seen as a change of these files. */
describe("the committed documents", () => {
  for (const [name, document] of [
    ["openapi", openApi],
    ["asyncapi", asyncApi]
  ] as const) {
    it(`docs/${name}.json is what is served`, () => {
      const committed = readFileSync(new URL(`../../docs/${name}.json`, import.meta.url), "utf8")
      assert.deepStrictEqual(
        JSON.parse(JSON.stringify(document)),
        JSON.parse(committed),
        `The API has changed. If that is meant: npm run documents, and commit docs/${name}.json`
      )
    })
  }
})
