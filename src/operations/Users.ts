import { Unread } from "../domain/Conversation.ts"
import { UserId } from "../domain/Ids.ts"
import { Page, pageFields } from "../domain/Page.ts"
import { Forbidden, InvalidRequest, NotFound, RateLimited, Unavailable } from "../domain/Problem.ts"
import { AccountDeletion, Me, ProfileChange, User, UserIds, UserList, UserQuery } from "../domain/User.ts"
import { userIdsInQuery } from "./Fields.ts"
import { feature, operation } from "./Operation.ts"

/** The operations on profiles, and on the caller's own account. */
export const Users = feature(
  { user: "Profiles" },
  operation("user.me", {
    http: "GET /v1/users/me",
    success: Me,
    problems: [NotFound, Unavailable],
    summary: "Get my profile",
    description: "It includes my e-mail address and `whoMayAddMe`, which nobody else sees."
  }),
  operation("user.update", {
    http: "PATCH /v1/users/me",
    payload: ProfileChange,
    success: Me,
    problems: [InvalidRequest, NotFound, Unavailable],
    summary: "Change my profile",
    description:
      "Changes the fields that are given; `avatarUrl: null` removes the picture. `whoMayAddMe` decides who may add me to groups and open a direct conversation: `everybody`, or `contacts`, with whom I share a conversation in which both have written. Others get a 403 `contacts-only`."
  }),
  operation("user.removeAvatar", {
    http: "DELETE /v1/users/me/avatar",
    problems: [NotFound, Unavailable],
    summary: "Remove my picture",
    description:
      "The same as `avatarUrl: null` in a change of my profile. An uploaded picture is deleted within minutes."
  }),
  operation("user.delete", {
    http: "DELETE /v1/users/me",
    payload: AccountDeletion,
    problems: [InvalidRequest, Forbidden, RateLimited, Unavailable],
    summary: "Delete my account",
    description:
      "This cannot be undone. I leave all groups (if I am the last owner of one, the ownership passes on as when I leave), my sessions end and my sockets are closed with 4504. My messages stay, under a user of whom nothing else is left; my e-mail address and username become free again. 403 when the password is wrong. A guest has none and leaves it out. After a 503 I may have left some of the groups already: ask again."
  }),
  operation("user.unread", {
    http: "GET /v1/users/me/unread",
    success: Unread,
    problems: [RateLimited, Unavailable],
    summary: "Count my unread messages",
    description: "Counts over all conversations; each conversation counts at most 100."
  }),
  operation("user.search", {
    http: "GET /v1/users",
    query: {
      ...pageFields,
      query: UserQuery.annotate({ description: "How the username or the display name begins, in any case" })
    },
    success: Page(User),
    problems: [InvalidRequest, Forbidden, RateLimited, Unavailable],
    summary: "Search users",
    description:
      "Users whose username begins with `query` come first, then those whose display name begins with it. Guests are not found, and may not search (403 `guest`). Users of different teams do not find each other unless they share a conversation."
  }),
  operation("user.get", {
    http: "GET /v1/users/:userId",
    params: { userId: UserId },
    success: User,
    problems: [NotFound, Unavailable],
    summary: "Get a user's profile",
    description:
      "Returns what everybody may know about the user. Guests, and users of another team, get a 404 unless they have met the user in a conversation."
  }),
  operation("user.list", {
    http: "GET /v1/profiles",
    query: UserIds.fields,
    success: UserList,
    overHttp: { query: { userIds: userIdsInQuery } },
    problems: [InvalidRequest, Unavailable],
    summary: "Get the profiles of users",
    description:
      "Returns the profiles of at most 200 users, in their order, each once. Those whose profile I may not see, and unknown users, are left out."
  })
)
