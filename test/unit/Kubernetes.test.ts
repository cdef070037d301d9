import { spawnSync } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as Yaml from "effect/encoding/Yaml"
import { load } from "../../src/layers/settings/Settings.ts"
import { version } from "../../src/Version.ts"
import { root } from "../support/Compose.ts"

const directory = join(root, "deploy/kubernetes")

const read = (name: string): unknown => Yaml.parse(readFileSync(join(directory, name), "utf8"))

const { resources } = Schema.decodeUnknownSync(Schema.Struct({ resources: Schema.Array(Schema.String) }))(
  read("kustomization.yaml")
)

const decodeObject = Schema.decodeUnknownSync(Schema.Struct({ apiVersion: Schema.String, kind: Schema.String }))

const Probe = Schema.Struct({ httpGet: Schema.Struct({ path: Schema.String, port: Schema.Literal("http") }) })
const Labels = Schema.Record(Schema.String, Schema.String)
const PodSpec = Schema.Struct({
  terminationGracePeriodSeconds: Schema.Int,
  enableServiceLinks: Schema.Literal(false),
  containers: Schema.Tuple([
    Schema.Struct({
      image: Schema.String,
      ports: Schema.Tuple([Schema.Struct({ name: Schema.Literal("http"), containerPort: Schema.Int })]),
      env: Schema.Array(Schema.Struct({ name: Schema.String, value: Schema.String })),
      startupProbe: Probe,
      livenessProbe: Probe,
      readinessProbe: Probe
    })
  ])
})
const Deployment = Schema.Struct({
  spec: Schema.Struct({
    selector: Schema.Struct({ matchLabels: Labels }),
    template: Schema.Struct({ metadata: Schema.Struct({ labels: Labels }), spec: PodSpec })
  })
})
const deployment = Schema.decodeUnknownSync(Deployment)(read("deployment.yaml")).spec
const pod = deployment.template.spec
const [container] = pod.containers

const config = Schema.decodeUnknownSync(Schema.Struct({ data: Labels }))(read("config.yaml")).data

/** A module in which each object has the type of its kind, so that a misspelt, missing or wrong field does not compile. */
const asModule = (names: ReadonlyArray<string>) =>
  names
    .map((name, n) => {
      const object = read(name)
      const { apiVersion, kind } = decodeObject(object)
      return `import type { I${kind} as Kind${n} } from "kubernetes-models/${apiVersion}"
export const object${n}: Kind${n} = ${JSON.stringify(object)}`
    })
    .join("\n")

const compile = (source: string) => {
  const at = mkdtempSync(join(tmpdir(), "chat-kubernetes-"))
  try {
    symlinkSync(join(root, "node_modules"), join(at, "node_modules"))
    writeFileSync(join(at, "objects.ts"), source)
    const options = ["--noEmit", "--skipLibCheck", "--strict", "--module", "nodenext", "--types", "node"]
    return spawnSync(join(root, "node_modules/.bin/tsc"), [...options, "objects.ts"], { cwd: at, encoding: "utf8" })
      .stdout
  } finally {
    rmSync(at, { recursive: true })
  }
}

describe("deploy/kubernetes", () => {
  it("is made of objects as Kubernetes defines them, all of which are applied", () => {
    assert.sameMembers([...resources, "kustomization.yaml"], readdirSync(directory))
    const source = asModule(resources)
    assert.strictEqual(compile(source), "")
    assert.match(compile(source.replace('"failureThreshold"', '"failureTreshold"')), /failureTreshold/)
  })

  it.effect("has settings that the service accepts", () =>
    Effect.gen(function* () {
      const files = container.env.filter(({ name }) => name.startsWith("CHAT_"))
      // The secrets, of which every key is mounted as a file.
      const secrets = files.map(({ name }) => [name.replace(/_FILE$/, ""), "a secret of 32 bytes or even more"])
      assert.isTrue(files.every(({ name, value }) => name.endsWith("_FILE") && value.startsWith("/run/secrets/chat/")))
      const { shutdown } = yield* load({ environment: { ...config, ...Object.fromEntries(secrets) } })
      assert.isBelow(shutdown.timeout / 1000, pod.terminationGracePeriodSeconds)
      assert.isAtMost(shutdown.lameDuck, shutdown.timeout / 2)
    }).pipe(Effect.provide(NodeServices.layer))
  )

  it("runs this release, and finds its pods and their port", () => {
    assert.strictEqual(container.image, `chat-service:${version}`)
    assert.strictEqual(container.ports[0].containerPort, 8080)
    assert.deepStrictEqual(deployment.selector.matchLabels, deployment.template.metadata.labels)
    for (const name of ["service.yaml", "disruption-budget.yaml", "network-policy.yaml"]) {
      assert.include(JSON.stringify(read(name)), JSON.stringify(deployment.selector.matchLabels), name)
    }
  })

  it("restarts what does not live, and sends requests to what is ready", () => {
    assert.deepStrictEqual(
      [container.startupProbe, container.livenessProbe, container.readinessProbe].map(({ httpGet }) => httpGet.path),
      ["/ready", "/health", "/ready"]
    )
  })
})
