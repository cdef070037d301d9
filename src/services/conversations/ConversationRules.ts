import { Effect } from "effect"
import type { ConversationChange, NewGroup } from "../../domain/Conversation.ts"
import type { ConversationId } from "../../domain/Ids.ts"
import { type Conflict, type Forbidden, type InvalidRequest, invalid } from "../../domain/Problem.ts"
import { noConversation, notAGroup, notAllowed } from "../../domain/Refusals.ts"
import { longerThan } from "../../domain/Text.ts"
import type { Counter } from "../platform/Limits.ts"
import type { SettingsShape } from "../platform/Settings.ts"
import type { Standing } from "./Conversations.ts"

/** Refuses a new group that is beyond the limits of the settings; `members` counts its creator too. */
export const checkNewGroup = (
  group: typeof NewGroup.Type,
  members: number,
  { groupMembers, membersPerRequest, titleLength }: SettingsShape["limits"]
): Effect.Effect<void, InvalidRequest> => {
  if (longerThan(group.title, titleLength)) {
    return Effect.fail(invalid("title", `must have at most ${titleLength} characters`))
  }
  if (group.memberIds.length > membersPerRequest) {
    return Effect.fail(invalid("memberIds", `must name at most ${membersPerRequest} users`))
  }
  return members > groupMembers
    ? Effect.fail(invalid("memberIds", `must leave the group at most ${groupMembers} members`))
    : Effect.void
}

/** Permits a change or a list of invites to owners and admins of a group. */
export const checkLeader = ({ kind, role }: Standing): Effect.Effect<void, Conflict | Forbidden> => {
  if (kind !== "group") return Effect.fail(notAGroup)
  return role === "member" ? Effect.fail(notAllowed) : Effect.void
}

/** Whether a change sets the lifetime of messages and nothing else, which is all that can be changed of a DM. */
export const changesOnlyLifetime = ({ messageLifetimeSeconds, ...others }: ConversationChange): boolean =>
  messageLifetimeSeconds !== undefined && Object.keys(others).length === 0

/** The refusals that every SQL function on members and invites may answer with, by outcome. */
export const groupProblems = {
  "not-a-member": noConversation,
  "not-a-group": notAGroup,
  forbidden: notAllowed
}

/** The counter of the changes of one group's members. */
export const changesOf = (id: ConversationId, limits: SettingsShape["limits"]): Counter => [
  `members:${id}`,
  limits.memberChangesPerMinute,
  "1 minute"
]
