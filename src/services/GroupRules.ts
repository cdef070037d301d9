import type { ConversationId } from "../domain/Ids.ts"
import { Conflict, Forbidden, NotFound } from "../domain/Problem.ts"
import { noConversation } from "./LogReader.ts"

/** Everybody's answer to who asks for a group of what is a DM. */
export const notAGroup = new Conflict({ code: "not-a-group", detail: "That can be done in groups only" })
export const notAllowed = new Forbidden({ detail: "Your role in this group does not allow that" })
export const noMember = new NotFound({ detail: "There is no such member" })
export const noInvite = new NotFound({ detail: "There is no such invite" })
export const groupFull = new Conflict({ code: "group-full", detail: "The group has as many members as it may have" })
export const lastOwner = new Conflict({
  code: "last-owner",
  detail: "This is the last owner: make another member an owner first"
})

/** What every function of migrations 0016 and 0017 may answer. */
export const groupProblems = {
  "not-a-member": noConversation,
  "not-a-group": notAGroup,
  forbidden: notAllowed
}

/** The counter of `limits.member_changes_per_minute`. */
export const changesOf = (id: ConversationId) => `members:${id}`
