import { Context, Effect, Layer } from "effect"
import { TestIssuer } from "../../src/testing/TestIssuer.ts"

/** Issuers of tokens with different settings, all of which the service trusts. */
export class Issuers extends Context.Service<
  Issuers,
  {
    /** It makes users, and keeps their profiles up to date. */
    readonly app: TestIssuer["Service"]
    /** It makes users, its key has the same id as that of `app`, and its tokens may live for four weeks. */
    readonly other: TestIssuer["Service"]
    /** It makes users, whose profiles are theirs from then on. */
    readonly once: TestIssuer["Service"]
    /** Its users must be made by somebody else. */
    readonly existing: TestIssuer["Service"]
  }
>()("chat/test/Issuers") {
  static readonly layer = Layer.effect(
    Issuers,
    Effect.all({
      app: TestIssuer.make({ issuer: "https://app.example.com", kid: "1" }),
      other: TestIssuer.make({
        issuer: "https://other.example.com",
        kid: "1",
        algorithm: "EdDSA",
        maxLifetime: 28 * 24 * 3_600_000
      }),
      once: TestIssuer.make({ issuer: "https://once.example.com", updateProfile: "once", claims: { team: "team" } }),
      existing: TestIssuer.make({ issuer: "https://existing.example.com", provision: "existing" })
    })
  )

  /** A layer that needs the settings of all issuers. */
  static readonly trusted = <A, E, R>(
    layer: (auth: { readonly issuers: ReadonlyArray<TestIssuer["Service"]["settings"]> }) => Layer.Layer<A, E, R>
  ) =>
    Layer.unwrap(
      Effect.map(Issuers, (issuers) => layer({ issuers: Object.values(issuers).map(({ settings }) => settings) }))
    ).pipe(Layer.provideMerge(Issuers.layer))
}
