import { Schema } from "effect"
import { Problem } from "../../domain/Problem.ts"

/** What each type of problem means for the caller. */
const meanings: Readonly<Record<Problem["type"], string>> = {
  "/problems/invalid-request":
    "The input is not valid. The list errors names each invalid field and what is wrong with it. Correct the input; the same request fails again.",
  "/problems/unauthenticated":
    "There is no valid access token. The field code says what to do: refresh the token after token-expired, and sign in again after token-invalid or session-ended.",
  "/problems/forbidden": "You may see this, but you may not do this to it.",
  "/problems/not-found":
    "There is nothing at this address, or you may not see it. The answer is the same in both cases.",
  "/problems/method-not-allowed": "This path exists, but not with this method. The header Allow lists its methods.",
  "/problems/conflict":
    "The request is valid, but the current state does not allow it. The field code names the reason.",
  "/problems/too-large": "The body, the headers or a frame has more bytes than the service accepts.",
  "/problems/unsupported-media-type":
    "The body must be JSON, or a form with a file where the path takes one, and the header Content-Type must say so.",
  "/problems/length-required": "The header Upload-Length must say how many bytes the file has.",
  "/problems/precondition-failed":
    "The header Tus-Resumable must have a version of tus that is spoken here, which the header Tus-Version of the answer names.",
  "/problems/locked": "Another request adds to the same upload. Ask again in a moment how far it is.",
  "/problems/checksum-mismatch":
    "What has come is not what the header Upload-Checksum describes, and none of it was kept. Send it again.",
  "/problems/upgrade-required": "This path only accepts WebSockets, and the request was not the handshake of one.",
  "/problems/rate-limited":
    "A limit was exceeded. The header Retry-After, or the field retryAfterMs, says when a retry can succeed.",
  "/problems/internal": "The service failed. The field id finds the line in its log that has the cause.",
  "/problems/unavailable":
    "Something that the service needs does not answer now, or the node is stopping. Repeat the request after a pause, or after retryAfterMs if the answer has it; a message that is repeated with the same clientMessageId is stored once."
}

/** A type of problem as its page describes it. */
interface ProblemType {
  readonly type: Problem["type"]
  readonly title: string
  readonly status: number
  readonly description: string
}

/** All types of problems, by their path. */
export const problemTypes: ReadonlyMap<string, ProblemType> = new Map(
  Problem.members.map((member) => {
    const type = member.fields.type.schema.literal
    const { description, httpApiStatus } = Schema.resolveAnnotations(member) ?? {}
    return [type, { type, title: String(description), status: Number(httpApiStatus), description: meanings[type] }]
  })
)

/** A page for readers about a type of problem. */
export const toProblemPage = ({ description, status, title, type }: ProblemType): string =>
  `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${title}</title><style>body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:40rem;padding:0 1rem}
@media(prefers-color-scheme:dark){html{color-scheme:dark}}</style>
<h1>${title}</h1><p><code>${type}</code>, status ${status}</p>
<p>${description}</p>
<p><a href="/docs">The API</a></p>
</html>`
