import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, OpenApi } from "effect/http-api"
import { SessionId } from "../domain/Ids.ts"
import { NotFound, Unavailable } from "../domain/Problem.ts"
import { Session } from "../domain/Session.ts"
import { Authorization } from "./Middleware.ts"

const list = HttpApiEndpoint.get("list", "/v1/sessions", {
  success: Schema.Struct({ items: Schema.Array(Session) }),
  error: Unavailable
}).annotateMerge(
  OpenApi.annotations({ summary: "My sessions", description: "The devices that I am signed in on, newest first." })
)

const end = HttpApiEndpoint.delete("end", "/v1/sessions/:id", {
  params: { id: SessionId },
  error: [NotFound, Unavailable]
}).annotateMerge(
  OpenApi.annotations({
    summary: "End a session",
    description: "Signs a device of mine out: its tokens stop working and its sockets are closed within a second."
  })
)

export class SessionGroup extends HttpApiGroup.make("session")
  .add(list, end)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ description: "My signed-in devices" })) {}
