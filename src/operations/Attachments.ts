import { AttachmentLink, StorageUse } from "../domain/Attachment.ts"
import { AttachmentId } from "../domain/Ids.ts"
import { NotFound, Unavailable } from "../domain/Problem.ts"
import { feature, operation } from "./Operation.ts"

/** The operations on files. Their bytes are uploaded and downloaded over HTTP alone. */
export const Attachments = feature(
  { attachment: "Files of messages" },
  operation("attachment.link", {
    http: "POST /v1/attachments/:attachmentId/link",
    params: { attachmentId: AttachmentId },
    success: AttachmentLink,
    problems: [NotFound, Unavailable],
    summary: "Make a link to an attachment",
    description:
      "Returns a URL, as a path of this service, that needs no access token and works for five minutes: for an `<img>` or a player. It works for as long as I may see the attachment, and no longer, whoever has it."
  }),
  operation("attachment.delete", {
    http: "DELETE /v1/attachments/:attachmentId",
    params: { attachmentId: AttachmentId },
    problems: [NotFound, Unavailable],
    summary: "Delete a file that I have not sent",
    description:
      "A file that I have uploaded is deleted by itself when it is not sent within a day. One that is sent goes with its message, and is a 404 here."
  }),
  operation("user.storage", {
    http: "GET /v1/users/me/storage",
    success: StorageUse,
    problems: [Unavailable],
    summary: "Get what my files take up",
    description:
      "Counts the files that I have uploaded, until they are deleted with their message, or unsent for a day. A forwarded file counts once, for who uploaded it."
  })
)
