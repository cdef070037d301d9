import { Conflict, Forbidden, NotFound, RateLimited, TooLarge, Unauthenticated, Unavailable } from "./Problem.ts"

/** The refusal of a request for which there is no room at the moment, such as too many commands at a time. */
export const tooManyAtOnce = (detail: string) => new RateLimited({ retryAfterMs: 100, detail })

/**
 * Makes the refusals of a limit, one for each time to wait, of which there must be few. Each is made once, because to make an
 * error takes longer than to send it.
 */
export const makeTooOften = (detail: string) => {
  const made = new Map<number, RateLimited>()
  return (retryAfterMs: number): RateLimited => {
    const known = made.get(retryAfterMs) ?? new RateLimited({ retryAfterMs, detail })
    made.set(retryAfterMs, known)
    return known
  }
}

/** No route, document or asset has this path. */
export const noPath = new NotFound({ detail: "There is nothing at this path" })

/** Also returned to non-members, so that they cannot tell whether the conversation exists. */
export const noConversation = new NotFound({ detail: "There is no such conversation" })

/** Also returned for a message that the user may not see. */
export const noMessage = new NotFound({ detail: "There is no such message" })
/** The message in `replyTo` does not exist, or the user may not see it. */
export const noReplyTarget = new NotFound({ detail: "There is no such message to reply to" })
/** The message in `threadRoot` does not exist, or the user may not see it. */
export const noThreadRoot = new NotFound({ detail: "There is no such message to reply to in a thread" })

/** Also returned for an attachment that the user may not see. */
export const noAttachment = new NotFound({ detail: "There is no such attachment" })
/** A file of more than `limits.attachment_bytes`. */
export const fileTooLarge = (attachmentBytes: number) =>
  new TooLarge({ detail: `the file must have at most ${attachmentBytes} bytes` })
/** All files together would have more bytes than `limits.total_storage_bytes`. */
export const storeFull = new Conflict({
  code: "storage-full",
  detail: "This service has as many files as it may have: tell its operator"
})
/** The store of files does not answer, or has no room. */
export const filesUnavailable = new Unavailable({ detail: "Files cannot be stored or read right now" })
/** There is no avatar under this path, or no longer. */
export const noAvatar = new NotFound({ detail: "There is no such picture" })
/** Also returned for an upload that has ended, or of somebody else. */
export const noUpload = new NotFound({ detail: "There is no such upload, or it has ended" })
/** The user has as many uploads under way as are allowed: `max_uploads` in SQL. */
export const tooManyUploads = new Conflict({
  code: "storage-full",
  detail: "You have begun as many uploads as you may have at a time: complete or delete some of them first"
})
/** An upload has come in more parts than `mostParts`. It has ended. */
export const tooManyParts = new Conflict({
  code: "storage-full",
  detail: "This upload has come in too many parts, and has ended: begin it again, and send more at once"
})
/** The offset of a request is not the number of bytes that are stored. */
export const otherOffset = new Conflict({
  code: "upload-offset",
  detail: "Another number of bytes is stored: ask how many with HEAD, and go on behind them"
})
/** The attachment is still being uploaded. */
export const attachmentNotReady = new Conflict({
  code: "attachment-not-ready",
  detail: "An attachment is not uploaded completely yet",
  retryAfterMs: 1000
})
/** The files of the user would have more bytes than `limits.storage_bytes`, or would be more than `mostFiles`. */
export const storageFull = new Conflict({
  code: "storage-full",
  detail: "You have as many files, or bytes of files, as you may have: delete messages with files first"
})

/** The user does not exist, or the account is deleted. */
export const noUser = new NotFound({ detail: "There is no such user" })
/** Only bots have tokens of their own. */
export const notABot = new Conflict({ code: "not-a-bot", detail: "This user is a person, not a bot" })
/** The user is not a member of the conversation. */
export const noMember = new NotFound({ detail: "There is no such member" })

/** Also returned for an invite that has expired, was revoked or is used up. */
export const noInvite = new NotFound({ detail: "There is no such invite" })

/** Nobody can register by themselves: `auth.registration` is `closed`. */
export const registrationClosed = new Forbidden({
  code: "registration-closed",
  detail: "New accounts are made by the operator of this service"
})
/** Registering needs an invite into a group: `auth.registration` is `invite`. */
export const inviteRequired = new Forbidden({
  code: "invite-required",
  detail: "A new account needs the code of an invite"
})

/** This service admits no guests: `auth.guests`. */
export const guestsDisabled = new Forbidden({ code: "guests-disabled", detail: "This service admits no guests" })
/** Guests do not look for users, and start no conversations. */
export const notForGuests = new Forbidden({ code: "guest", detail: "Guests may not do this: claim an account first" })
/** Only guests can become accounts. */
export const notAGuest = new Conflict({ code: "not-a-guest", detail: "This is an account already" })
/** A guest is a member of groups, and neither admin nor owner. */
export const guestRole = new Conflict({ code: "guest", detail: "A guest can have no other role than member" })

/** Also returned for a session of somebody else, and for one that has ended. */
export const noSession = new NotFound({ detail: "There is no such session" })

/** The token was valid, but its session has ended or expired. */
export const sessionEnded = new Unauthenticated({ code: "session-ended", detail: "The session has ended" })

/** The token is valid, but its issuer makes no users here: `provision` is `existing`. */
export const notProvisioned = new Forbidden({
  code: "not-provisioned",
  detail: "This user must be made by the server of the app first"
})

/** Nobody signs in with a password: `auth.passwords` is false. */
export const passwordsDisabled = new Forbidden({
  code: "passwords-disabled",
  detail: "This service has no passwords: sign in to the app that it belongs to"
})

/** The credentials are right, but an operator has disabled the account. */
export const accountDisabled = new Forbidden({ code: "account-disabled", detail: "This account is disabled" })

/** The user whom the request is addressed to has blocked the caller. */
export const blocked = new Forbidden({ detail: "This user does not want to hear from you" })

/** The user lets only contacts add them: see `WhoMayAddMe`. */
export const contactsOnly = new Forbidden({
  code: "contacts-only",
  detail: "This user can be added only by contacts, with whom they share a conversation in which both have written"
})

/** Only members with a higher role may do this. */
export const notAllowed = new Forbidden({ detail: "Your role in this group does not allow that" })

/** The conversation is a DM, and the operation exists for groups only. */
export const notAGroup = new Conflict({ code: "not-a-group", detail: "That can be done in groups only" })
/** Adding the users would exceed the limit on members, which is a setting. */
export const groupFull = new Conflict({ code: "group-full", detail: "The group has as many members as it may have" })
/** A group must keep at least one owner while it has other members. */
export const lastOwner = new Conflict({
  code: "last-owner",
  detail: "This is the last owner: make another member an owner first"
})

/** The sender has used this id in this conversation for a message with other content. */
export const messageIdReused = new Conflict({
  code: "message-id-reused",
  detail: "That clientMessageId was used for another message"
})

/** The caller has used this key within 24 hours for a request with other content. */
export const idempotencyKeyReused = new Conflict({
  code: "idempotency-key-reused",
  detail: "That Idempotency-Key stands for another request"
})
