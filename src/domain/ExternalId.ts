import { Schema } from "effect"
import { isUuid, UserId } from "./Ids.ts"
import { Text } from "./Text.ts"

/** The id that a user has at the application which the service belongs to. It is opaque, and never an e-mail address to us. */
export const ExternalId = Text.check(Schema.isMinLength(1), Schema.isMaxLength(255)).pipe(Schema.brand("ExternalId"))
export type ExternalId = typeof ExternalId.Type

/** Names a user to the server API, by the id here or the id at the application. */
export type UserReference = { readonly userId: UserId } | { readonly externalId: ExternalId }

/** A reference to a user in a request: see `parseUserReference`. */
export const UserReferenceText = Text.check(Schema.isMinLength(1), Schema.isMaxLength(259)).annotate({
  description: "The id of a user, or `ext:` and the external id"
})

/** The key that the application has for a group, such as the number of an order. It is opaque. */
export const ExternalKey = Text.check(Schema.isMinLength(1), Schema.isMaxLength(255)).pipe(Schema.brand("ExternalKey"))
export type ExternalKey = typeof ExternalKey.Type

const prefix = "ext:"
const isExternalId = Schema.is(ExternalId)

/** Reads a reference: the id of a user, or `ext:` and an external id. Undefined when the text is neither. */
export const parseUserReference = (text: string): UserReference | undefined => {
  if (isUuid(text.toLowerCase())) return { userId: UserId.make(text.toLowerCase()) }
  const externalId = text.slice(prefix.length)
  return text.startsWith(prefix) && isExternalId(externalId) ? { externalId } : undefined
}
