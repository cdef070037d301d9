import { randomUUIDv7 } from "node:crypto"
import { Clock, Context, DateTime, Duration, Effect, Layer } from "effect"
import { type InviteCode, type SessionId, UserId } from "../../domain/Ids.ts"
import type { Conflict, Forbidden, InvalidRequest, NotFound, RateLimited, Unavailable } from "../../domain/Problem.ts"
import { guestsDisabled, inviteRequired, passwordsDisabled, registrationClosed } from "../../domain/Refusals.ts"
import type { Principal, Tokens } from "../../domain/Session.ts"
import type { GuestClaim, Me, NewGuest } from "../../domain/User.ts"
import { makeProfileNotices } from "../bus/ProfileNotices.ts"
import { Passwords } from "../identity/Passwords.ts"
import type { Device, UserRow } from "../identity/Rows.ts"
import { Sessions } from "../identity/Sessions.ts"
import { checkRegistration, folded, Users } from "../identity/Users.ts"
import { addressKey } from "../platform/Address.ts"
import { Limits } from "../platform/Limits.ts"
import { usersRegistered } from "../platform/MetricDefinitions.ts"
import { Metrics } from "../platform/Metrics.ts"
import { Settings } from "../platform/Settings.ts"
import { RegistrationChoice } from "./AccountOpening.ts"
import { Conversations } from "./Conversations.ts"
import { Invites } from "./Invites.ts"
import type { Actor } from "./MemberStorage.ts"
import { Members } from "./Members.ts"

/** What a guest becomes: the columns of the account. Without a name the guest keeps the old one. */
interface ClaimedRow extends Pick<UserRow, "email" | "emailKey" | "username" | "passwordHash"> {
  readonly displayName: string | null
  readonly searchName: string | null
}

/** Where guests are stored. Joining is part of `InviteStorage`. */
export class GuestStorage extends Context.Service<
  GuestStorage,
  {
    /**
     * Makes an account of a guest, whose memberships no longer end with their invites. `NotFound` for an expired guest,
     * `Conflict` for a user who is no guest ("not-a-guest"), and for a taken e-mail address or username.
     */
    readonly claim: (userId: UserId, account: ClaimedRow) => Effect.Effect<void, NotFound | Conflict | Unavailable>
    /** Memberships of guests whose invite has expired, at most `limit`. */
    readonly leaving: (limit: number) => Effect.Effect<ReadonlyArray<Actor>, Unavailable>
    /**
     * Expired guests: members of no group, or without a living session that was used after `idleSince`. At most `limit`
     * guests are looked at, and each of them once an hour, or after leaving a conversation; `more` says that there may be
     * others to look at. Expired guests can no longer become accounts, nor be added to anything for a while.
     */
    readonly expired: (
      now: Date,
      idleSince: Date,
      limit: number
    ) => Effect.Effect<{ readonly expired: ReadonlyArray<UserId>; readonly more: boolean }, Unavailable>
    /**
     * Closes the account of a guest who is in no group, and ends the sessions. The name stays. It changes nothing for users
     * who are no guests, or in a group.
     */
    readonly close: (userId: UserId, now: Date) => Effect.Effect<ReadonlyArray<SessionId>, Unavailable>
  }
>()("chat/services/GuestStorage") {}

/** A guest who does not come for so long is expired. */
const idlePeriod = Duration.days(30)

/** How many guests are looked at in one step. */
const guestsPerStep = 50

/** A new guest. Nobody signs in with the address or the username, which is not to be guessed. */
const newGuest = (displayName: string, createdAt: Date): UserRow => {
  const id = UserId.make(randomUUIDv7())
  return {
    id,
    email: "",
    emailKey: `guest-${id}`,
    username: `guest-${id.replaceAll("-", "").slice(-12)}`,
    displayName,
    searchName: folded(displayName),
    avatarUrl: null,
    passwordHash: "",
    createdAt,
    deletedAt: null,
    disabledAt: null,
    whoMayAddMe: "everybody",
    closingAt: null,
    kind: "guest",
    team: null
  }
}

/**
 * Guests: people without an account, who join a group by an invite that admits them. They see what they were invited to,
 * look for nobody, start no conversations, and are members without any other role. They leave a group when their invite
 * expires. A guest is expired, and the account closed, who is a member of no group any more, has signed out, or has not come for
 * 30 days.
 */
export class Guests extends Context.Service<
  Guests,
  {
    /**
     * Makes a guest, who joins the group of an invite, with a first session. It fails as `Invites.accept` does, and with
     * `Forbidden` ("guests-disabled") where `auth.guests` is false or, without that setting, where nobody may make an
     * account. New guests count against `limits.guests_per_hour_address`. Every call makes another guest.
     */
    readonly join: (
      code: InviteCode,
      guest: NewGuest & Device
    ) => Effect.Effect<Tokens, NotFound | Forbidden | Conflict | RateLimited | Unavailable>
    /**
     * Makes an account of a guest, who keeps the id, the session, the memberships and the messages. It is refused where
     * nobody may register: `Forbidden` ("passwords-disabled", "registration-closed"), and "invite-required" for a guest who
     * is a member of nothing where registering takes an invite. `Conflict` for who is no guest ("not-a-guest"), so also when
     * it is repeated and for all but one of several at the same time, and for a taken e-mail address or username. Claims
     * count against `limits.login_failures_per_minute` of the guest.
     */
    readonly claim: (
      principal: Principal,
      account: GuestClaim
    ) => Effect.Effect<Me, InvalidRequest | NotFound | Forbidden | Conflict | RateLimited | Unavailable>
    /**
     * Takes one step: guests leave the groups whose invites have expired, and the accounts of expired guests are
     * closed, with an end of their sockets. True when there may be more. Repeating it is safe, also on several nodes.
     */
    readonly endDue: Effect.Effect<boolean, Unavailable>
  }
>()("chat/services/Guests") {
  /** The rules, on any `GuestStorage`. */
  static readonly layerNoDeps = Layer.effect(
    Guests,
    Effect.gen(function* () {
      const { auth, limits } = yield* Settings
      const choice = yield* RegistrationChoice
      const invites = yield* Invites
      const limiter = yield* Limits
      const sessions = yield* Sessions
      const mode = Effect.map(choice.get, (chosen) => chosen ?? auth.registration)
      return Guests.of({
        join: Effect.fn("Guests.join")(function* (code, { displayName, ...device }) {
          if (!(auth.guests ?? (yield* mode) !== "closed")) return yield* guestsDisabled
          const guest = newGuest(displayName, new Date(yield* Clock.currentTimeMillis))
          const counter = [`guests:${addressKey(device.ip)}`, limits.guestsPerHourAddress, "1 hour"] as const
          yield* limiter.counted([{ counter, times: 1, used: () => 1 }], invites.register(guest, code))
          return yield* sessions.welcome(guest.id, device)
        }),
        claim: yield* makeClaim(mode),
        endDue: yield* makeEndDue
      })
    })
  )
}

const makeClaim = Effect.fnUntraced(function* (mode: Effect.Effect<"open" | "invite" | "closed", Unavailable>) {
  const { auth, limits } = yield* Settings
  const conversations = yield* Conversations
  const limiter = yield* Limits
  const passwords = yield* Passwords
  const storage = yield* GuestStorage
  const users = yield* Users
  const registered = (yield* Metrics).counter(usersRegistered)
  const tellProfile = yield* makeProfileNotices

  return Effect.fn("Guests.claim")(function* ({ userId }: Principal, claim: GuestClaim) {
    if (!auth.passwords) return yield* passwordsDisabled
    const registration = yield* mode
    if (registration === "closed") return yield* registrationClosed
    if (registration === "invite" && (yield* conversations.memberships(userId)).memberships.length === 0)
      return yield* inviteRequired
    yield* checkRegistration(claim, limits)
    yield* limiter.consume(`claim:${userId}`, limits.loginFailuresPerMinute, "1 minute")
    const { displayName = null, email, password, username } = claim
    yield* storage.claim(userId, {
      email,
      emailKey: folded(email),
      username,
      displayName,
      searchName: displayName === null ? null : folded(displayName),
      passwordHash: yield* passwords.hash(password, { account: userId, address: userId })
    })
    registered()
    yield* tellProfile(undefined, yield* users.get(userId))
    return yield* users.me(userId)
  })
})

const makeEndDue = Effect.gen(function* () {
  const members = yield* Members
  const sessions = yield* Sessions
  const storage = yield* GuestStorage

  return Effect.gen(function* () {
    const leaving = yield* storage.leaving(guestsPerStep)
    // The guest may have left or been removed meanwhile.
    for (const { conversationId, userId } of leaving) yield* members.leaveIfMember(userId, conversationId)
    const now = yield* DateTime.nowAsDate
    const idleSince = new Date(now.getTime() - Duration.toMillis(idlePeriod))
    const { expired, more } = yield* storage.expired(now, idleSince, guestsPerStep)
    for (const userId of expired) {
      yield* members.leaveAll(userId)
      yield* sessions.ending(storage.close(userId, now), true)
    }
    return leaving.length === guestsPerStep || more
  }).pipe(Effect.withSpan("Guests.endDue"))
})
