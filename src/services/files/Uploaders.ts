import { Context, type Effect } from "effect"
import type { UserId } from "../../domain/Ids.ts"
import type { Unavailable } from "../../domain/Problem.ts"

/** Who uploads files. */
export class Uploaders extends Context.Service<
  Uploaders,
  {
    /** Whether the user is a guest. */
    readonly isGuest: (userId: UserId) => Effect.Effect<boolean, Unavailable>
  }
>()("chat/services/Uploaders") {}
