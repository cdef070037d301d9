import type { Schema } from "effect"
import { Attachment, thumbnailSizes } from "../../domain/Attachment.ts"
import { avatarSizes } from "../../domain/Avatar.ts"
import { Conversation } from "../../domain/Conversation.ts"
import {
  ChecksumMismatch,
  Conflict,
  Forbidden,
  Internal,
  InvalidRequest,
  LengthRequired,
  Locked,
  NotFound,
  PreconditionFailed,
  RateLimited,
  TooLarge,
  Unauthenticated,
  Unavailable,
  UnsupportedMediaType
} from "../../domain/Problem.ts"
import { Me } from "../../domain/User.ts"

/** Returns how a document refers to a Schema. */
export type Describe = (schema: Schema.Top) => unknown

/** Describes an answer that is a problem. */
export const problem = (description: string, schema: Schema.Top, describe: Describe) => ({
  description,
  content: { "application/problem+json": { schema: describe(schema) } }
})

const signedIn = [{ bearer: [] }, { cookie: [] }]
const refusedCaller = (describe: Describe) => ({
  401: problem("There is no valid access token", Unauthenticated, describe),
  403: problem("With the cookie, a change must come from a page of an allowed origin", Forbidden, describe),
  429: problem("There are too many requests or uploads", RateLimited, describe),
  500: problem("There is a fault in the service", Internal, describe),
  503: problem("The store of files or the database does not answer", Unavailable, describe)
})

const upload = (describe: Describe) => ({
  post: {
    tags: ["attachment"],
    operationId: "attachment.upload",
    summary: "Upload a file",
    description:
      "Stores the field `file` of a form, to be sent with a message within a day. Its type follows from its content. At most `limits.attachment_bytes`; 409 `storage-full` when my files would have more than `limits.storage_bytes`.",
    security: signedIn,
    requestBody: {
      required: true,
      content: {
        "multipart/form-data": {
          schema: {
            type: "object",
            required: ["file"],
            properties: { file: { type: "string", format: "binary" }, waveform: { type: "string" } }
          }
        }
      }
    },
    responses: {
      201: { description: "The attachment", content: { "application/json": { schema: describe(Attachment) } } },
      400: problem("The form has no file, or an empty one, or is cut short", InvalidRequest, describe),
      404: problem("The account was closed meanwhile", NotFound, describe),
      409: problem("My files have as many bytes as they may have", Conflict, describe),
      413: problem("The file is too large", TooLarge, describe),
      415: problem("The body is no form", UnsupportedMediaType, describe),
      ...refusedCaller(describe)
    }
  }
})

/** Describes the `PUT` of a picture, in place of the one of a user or a group. */
const avatarUpload = (
  operationId: string,
  summary: string,
  description: string,
  answer: Schema.Top,
  inGroup: boolean,
  describe: Describe
) => {
  const { requestBody, responses } = upload(describe).post
  const { 201: _, ...refusals } = responses
  return {
    put: {
      tags: [operationId.split(".")[0] ?? ""],
      operationId,
      summary,
      description: `Takes the field \`file\` of a form, a PNG, JPEG, GIF or WebP of at most \`limits.attachment_bytes\`, and makes squares of 512 and 128 pixels of its middle. ${description}`,
      security: signedIn,
      ...(inGroup && {
        parameters: [{ name: "conversationId", in: "path", required: true, schema: { type: "string" } }]
      }),
      requestBody,
      responses: {
        200: { description: "With the new `avatarUrl`", content: { "application/json": { schema: describe(answer) } } },
        ...refusals,
        400: problem("The form has no file, or one that is no such picture, or is cut short", InvalidRequest, describe),
        404: problem("There is no such conversation, or the account was closed", NotFound, describe),
        409: problem("My files have as many bytes as they may have, or this is no group", Conflict, describe)
      }
    }
  }
}

const avatar = (describe: Describe) => ({
  get: {
    tags: ["user"],
    operationId: "avatar.get",
    summary: "Get a picture of a user or a group",
    description:
      "`avatarUrl` has this path when the picture was uploaded. It needs no session, and nobody can guess it. What it serves never changes, so it may be cached for ever; a replaced picture is served for half an hour more.",
    security: [],
    parameters: [
      { name: "avatarId", in: "path", required: true, schema: { type: "string" } },
      {
        name: "size",
        in: "query",
        description: "The side of the square in pixels, 512 unless it is given",
        schema: { type: "string", enum: avatarSizes.map(String) }
      }
    ],
    responses: {
      200: { description: "The picture", content: { "image/webp": { schema: { type: "string", format: "binary" } } } },
      304: { description: "What the client has is still true" },
      400: problem("A parameter is not valid", InvalidRequest, describe),
      404: problem("There is no such picture, or no longer", NotFound, describe),
      429: problem("There are too many requests from this address", RateLimited, describe),
      500: problem("There is a fault in the service", Internal, describe),
      503: problem("The store of files does not answer", Unavailable, describe)
    }
  }
})

const bytes = { "*/*": { schema: { type: "string", format: "binary" } } }

const download = (describe: Describe) => {
  const query = (name: string, description: string, schema: object) => ({ name, in: "query", description, schema })
  return {
    get: {
      tags: ["attachment"],
      operationId: "attachment.get",
      summary: "Download a file",
      description:
        "For whoever may see the message that the attachment belongs to, and for its uploader until it is sent. `HEAD`, `Range`, `If-Range` and `If-None-Match` work as in RFC 9110. Types that could have scripts are always to be saved, and never shown.",
      security: [...signedIn, {}],
      parameters: [
        { name: "attachmentId", in: "path", required: true, schema: { type: "string" } },
        query("download", "With `1`, browsers save the file", { type: "string", enum: ["0", "1"] }),
        query("thumbnail", "A thumbnail that the attachment has, by its size", {
          type: "string",
          enum: thumbnailSizes.map(String)
        }),
        query("link", "What a link has in place of an access token", { type: "string" })
      ],
      responses: {
        200: { description: "The file", content: bytes },
        206: { description: "A part of the file", content: bytes },
        304: { description: "What the client has is still true" },
        400: problem("A parameter is not valid", InvalidRequest, describe),
        404: problem("There is no such attachment, or I may not see it, or the link is over", NotFound, describe),
        416: { description: "The file has no such part" },
        ...refusedCaller(describe)
      }
    }
  }
}

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

const uploads = (describe: Describe) => ({
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
    get: {
      ...operation("upload.get", "Get what an upload has become", "This is not part of tus."),
      parameters,
      responses: {
        200: { description: "The attachment", content: { "application/json": { schema: describe(Attachment) } } },
        ...refusedCaller(describe),
        ...none,
        400: problem("The id is not valid", InvalidRequest, describe),
        409: problem("The upload is not complete", Conflict, describe)
      }
    },
    head: {
      ...operation("upload.offset", "Ask how far an upload is", "`Upload-Offset` says how many bytes are stored."),
      parameters: [...parameters, tusResumable],
      responses: {
        200: { description: "The upload" },
        ...tusRefusals(describe),
        ...none,
        400: problem("The id is not valid", InvalidRequest, describe)
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

/** Describes the paths of the bytes of files. */
export const filePaths = (describe: Describe) => ({
  "/v1/attachments": upload(describe),
  "/v1/attachments/{attachmentId}": download(describe),
  "/v1/uploads": uploads(describe),
  "/v1/uploads/{uploadId}": resumable(describe),
  "/v1/users/me/avatar": avatarUpload(
    "user.setAvatar",
    "Upload my picture",
    "Everybody sees it, by a path that nobody can guess.",
    Me,
    false,
    describe
  ),
  "/v1/conversations/{conversationId}/avatar": avatarUpload(
    "conversation.setAvatar",
    "Upload the picture of a group",
    "Owners and admins may do this, and all members get `conversation.updated`. It counts for me.",
    Conversation,
    true,
    describe
  ),
  "/v1/avatars/{avatarId}": avatar(describe)
})
