import { Attachment } from "../../domain/Attachment.ts"
import {
  ChecksumMismatch,
  Conflict,
  InvalidRequest,
  LengthRequired,
  Locked,
  NotFound,
  PreconditionFailed,
  TooLarge,
  UnsupportedMediaType
} from "../../domain/Problem.ts"
import { type Describe, problem, refusedCaller, signedIn } from "./Problems.ts"

const octets = { "application/offset+octet-stream": { schema: { type: "string", format: "binary" } } }

const header = (name: string, required: boolean, description: string) => ({
  name,
  in: "header",
  required,
  description,
  schema: { type: "string" }
})
const tusResumable = header("Tus-Resumable", true, "`1.0.0`")
const checksum = header("Upload-Checksum", false, "`sha1`, `sha256` or `md5`, and the digest of the body in Base64")

/** What a request of tus may be answered, besides what it is for. */
const tusRefusals = (describe: Describe) => ({
  ...refusedCaller(describe),
  412: problem("The version of tus is not spoken here", PreconditionFailed, describe)
})
const appendRefusals = (describe: Describe) => ({
  ...tusRefusals(describe),
  400: problem("A header is not valid, or the file that is now complete is refused", InvalidRequest, describe),
  404: problem("There is no such upload, or it has ended", NotFound, describe),
  409: problem("Another number of bytes is stored, or there is no room", Conflict, describe),
  413: problem("The file is too large, or the body has more than is missing", TooLarge, describe),
  415: problem("The body has another content type", UnsupportedMediaType, describe),
  423: problem("Another request adds to the upload", Locked, describe),
  460: problem("The body has another checksum", ChecksumMismatch, describe)
})

/** What the service can of tus, which is asked without a token. */
const capabilities = (operationId: string, parameters: ReadonlyArray<object>) => ({
  options: {
    tags: ["system"],
    operationId,
    summary: "Ask what of tus is spoken",
    description: "Needs no session.",
    security: [],
    parameters,
    responses: { 204: { description: "The version, the extensions, and how large a file may be, as headers" } }
  }
})

const uploads = (describe: Describe) => ({
  ...capabilities("upload.capabilities", []),
  post: {
    tags: ["attachment"],
    operationId: "upload.create",
    summary: "Begin a resumable upload",
    description:
      "By [tus 1.0](https://tus.io/protocols/resumable-upload), with the extensions creation, creation-with-upload, expiration, termination and checksum. The answer has the path of the upload as `Location`. It ends after a day.",
    security: signedIn,
    parameters: [
      tusResumable,
      header("Upload-Length", true, "How many bytes the file has"),
      header("Upload-Metadata", false, "`filename` and its value in Base64; other pairs are kept"),
      checksum
    ],
    requestBody: { required: false, content: octets },
    responses: {
      201: { description: "The upload is begun" },
      ...appendRefusals(describe),
      411: problem("There is no `Upload-Length`", LengthRequired, describe)
    }
  }
})

const resumable = (describe: Describe) => {
  const none = { 404: problem("There is no such upload, or it has ended", NotFound, describe) }
  const parameters = [{ name: "uploadId", in: "path", required: true, schema: { type: "string" } }]
  const operation = (operationId: string, summary: string, description: string) => ({
    tags: ["attachment"],
    operationId,
    summary,
    description,
    security: signedIn
  })
  return {
    ...capabilities("upload.capabilitiesOfOne", parameters),
    get: {
      ...operation(
        "upload.get",
        "Get what an upload has become",
        "`HEAD` is that of tus, and says how many bytes are stored as `Upload-Offset`."
      ),
      parameters,
      responses: {
        200: { description: "The attachment", content: { "application/json": { schema: describe(Attachment) } } },
        ...refusedCaller(describe),
        ...none,
        400: problem("The id is not valid", InvalidRequest, describe),
        409: problem("The upload is not complete", Conflict, describe)
      }
    },
    patch: {
      ...operation(
        "upload.append",
        "Add to an upload",
        "What has arrived when the connection is cut is kept. When nothing is missing, the upload becomes an attachment, whose id is the header `Chat-Attachment-Id`."
      ),
      parameters: [...parameters, tusResumable, header("Upload-Offset", true, "How many bytes are stored"), checksum],
      requestBody: { required: true, content: octets },
      responses: { 204: { description: "The body is stored" }, ...appendRefusals(describe) }
    },
    delete: {
      ...operation("upload.delete", "Delete an upload", "Deletes also what it has become, if that is not sent."),
      parameters: [...parameters, tusResumable],
      responses: {
        204: { description: "The upload is deleted" },
        ...tusRefusals(describe),
        ...none,
        400: problem("The id is not valid", InvalidRequest, describe)
      }
    }
  }
}

/** Describes the paths of resumable uploads. */
export const resumableUploadPaths = (describe: Describe) => ({
  "/v1/uploads": uploads(describe),
  "/v1/uploads/{uploadId}": resumable(describe)
})
