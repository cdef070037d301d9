import { InviteCode } from "../domain/Ids.ts"
import { Conflict, Forbidden, InvalidRequest, NotFound, RateLimited, Unavailable } from "../domain/Problem.ts"
import { Tokens } from "../domain/Session.ts"
import { GuestClaim, Me, NewGuest } from "../domain/User.ts"
import { feature, operation } from "./Operation.ts"

/** The operations of people without an account. */
export const Guests = feature(
  {},
  operation("invite.guest", {
    http: "POST /v1/invites/:code/guest",
    params: { code: InviteCode },
    payload: NewGuest,
    success: Tokens,
    status: 201,
    problems: [InvalidRequest, NotFound, Forbidden, Conflict, RateLimited, Unavailable],
    open: true,
    summary: "Join as a guest",
    description:
      "Makes a guest without an account, who is a member of the group, and starts the guest's session, which is the only way back in. 404 when the invite is unknown, expired, revoked or used up, and when it admits no guests; 409 `group-full`. 403 `guests-disabled` where the operator admits none. An address can bring a limited number of guests an hour (429). A guest searches no users (403 `guest`), sees the profiles of those alone whom they have met in a conversation, starts no conversations (403 `guest`), and accepts no invites but those that admit guests. The guest leaves the group when the invite expires, and the guest is over after leaving the last group, after signing out, and after 30 days without coming."
  }),
  operation("user.claim", {
    http: "POST /v1/users/me/claim",
    payload: GuestClaim,
    success: Me,
    problems: [InvalidRequest, NotFound, Forbidden, Conflict, RateLimited, Unavailable],
    summary: "Make an account of a guest",
    description:
      "I keep everything: id, session, memberships and messages, and I can log in from now on. 409 `email-taken` or `username-taken` when another account has it, and `not-a-guest` when I have an account already. The operator may permit this to members of a conversation only (403 `invite-required`) or not at all (403 `registration-closed`, `passwords-disabled`)."
  })
)
