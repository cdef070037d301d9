import type { Schema } from "effect"
import { Attachment, thumbnailSizes } from "../../domain/Attachment.ts"
import { avatarSizes } from "../../domain/Avatar.ts"
import { Conversation } from "../../domain/Conversation.ts"
import {
  Conflict,
  Internal,
  InvalidRequest,
  NotFound,
  RateLimited,
  TooLarge,
  Unavailable,
  UnsupportedMediaType
} from "../../domain/Problem.ts"
import { Me } from "../../domain/User.ts"
import { type Describe, problem, refusedCaller, signedIn } from "./Problems.ts"
import { resumableUploadPaths } from "./ResumableUploadPaths.ts"

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
        307: { description: "The file is at a URL of the store for a minute, if `s3.presigned` is set" },
        400: problem("A parameter is not valid", InvalidRequest, describe),
        404: problem("There is no such attachment, or I may not see it, or the link is over", NotFound, describe),
        416: { description: "The file has no such part" },
        ...refusedCaller(describe)
      }
    }
  }
}

/** Describes the paths of the bytes of files. */
export const filePaths = (describe: Describe) => ({
  "/v1/attachments": upload(describe),
  "/v1/attachments/{attachmentId}": download(describe),
  ...resumableUploadPaths(describe),
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
