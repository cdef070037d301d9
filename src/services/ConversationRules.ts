import { Effect } from "effect"
import type { NewGroup } from "../domain/Conversation.ts"
import { Forbidden, type InvalidRequest, invalid } from "../domain/Problem.ts"
import { longerThan } from "../domain/Text.ts"
import type { SettingsShape } from "./Settings.ts"

/** One of those whom it concerns has blocked who asks. */
export const blocked = new Forbidden({ detail: "This user does not want to hear from you" })

/** What the settings say of a new group; `members` counts its creator too. */
export const checkNewGroup = (
  group: typeof NewGroup.Type,
  members: number,
  limits: SettingsShape["limits"]
): Effect.Effect<void, InvalidRequest> =>
  longerThan(group.title, limits.titleLength)
    ? Effect.fail(invalid("title", `must have at most ${limits.titleLength} characters`))
    : group.memberIds.length > limits.membersPerRequest
      ? Effect.fail(invalid("memberIds", `must name at most ${limits.membersPerRequest} users`))
      : members > limits.groupMembers
        ? Effect.fail(invalid("memberIds", `must leave the group at most ${limits.groupMembers} members`))
        : Effect.void
