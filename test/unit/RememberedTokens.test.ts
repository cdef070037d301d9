import { assert, describe, it } from "@effect/vitest"
import { SessionId, UserId } from "../../src/domain/Ids.ts"
import { makeRememberedTokens } from "../../src/services/identity/RememberedTokens.ts"

const [sessionId, other] = [1, 2].map((n) => SessionId.make(`00000000-0000-7000-8000-00000000000${n}`))
const principal = {
  userId: UserId.make("00000000-0000-7000-8000-000000000003"),
  sessionId: sessionId ?? assert.fail(),
  expiresAt: 1000
}

describe("remembered tokens", () => {
  it("have none that was verified while a session ended, which may have been its own", () => {
    const { add, ends, forget, get } = makeRememberedTokens(10)
    const before = ends()
    forget(other === undefined ? [] : [other])
    add("token", principal, before)
    assert.isUndefined(get("token", 0))
    add("token", principal, ends())
    assert.strictEqual(get("token", 0), principal)
  })
})
