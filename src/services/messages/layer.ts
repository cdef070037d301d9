import { Layer } from "effect"
import { DisappearingMessages } from "./DisappearingMessages.ts"
import * as DraftsSql from "./DraftsSql.ts"
import * as DueWork from "./DueWork.ts"
import { Erasures } from "./Erasures.ts"
import * as MessageChangesSql from "./MessageChangesSql.ts"
import { Messages } from "./Messages.ts"
import { Pins } from "./Pins.ts"
import { Polls } from "./Polls.ts"
import { Reactions } from "./Reactions.ts"
import * as ScheduledMessagesSql from "./ScheduledMessagesSql.ts"
import { Stars } from "./Stars.ts"
import { Sync } from "./Sync.ts"
import * as SearchSql from "./search/SearchSql.ts"
import * as ThreadsSql from "./ThreadsSql.ts"

/** The services of this folder on PostgreSQL. */
export const layer = Layer.mergeAll(
  DisappearingMessages.layer,
  Erasures.layer,
  Pins.layer,
  Polls.layer,
  Reactions.layer,
  ScheduledMessagesSql.layer,
  SearchSql.layer,
  Sync.layer,
  ThreadsSql.layer
).pipe(
  Layer.provideMerge(MessageChangesSql.layer),
  Layer.provideMerge(Layer.mergeAll(Messages.layer, DraftsSql.layer, Stars.layer))
)

/** The jobs that run next to the requests: the scheduler, the deletion of messages, and the search index. */
export const background = DueWork.background
