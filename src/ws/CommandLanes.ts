import type { ConversationId } from "../domain/Ids.ts"

/** A `send` may run together with other sends of its conversation, since the log keeps their order. */
export type CommandKind = "send" | "other"

/** The commands of one conversation that wait for their turn. */
interface Lane {
  readonly waiting: Array<() => void>
  /** How many are running: sends, or one other command. */
  running: number
  kind: CommandKind
}

/**
 * The turns of the commands of one socket: those of one conversation take effect in the order sent. Sends may be on their
 * way together; anything else waits for what came before, and is waited for.
 */
export class CommandLanes {
  private readonly lanes = new Map<ConversationId, Lane>()

  /** Calls `start` in its turn, and `onEnd` when the function that `start` gets is called, which must happen once. */
  run(conversationId: ConversationId, kind: CommandKind, start: (done: () => void) => void, onEnd: () => void): void {
    let lane = this.lanes.get(conversationId)
    if (lane === undefined) {
      lane = { waiting: [], running: 0, kind }
      this.lanes.set(conversationId, lane)
    }
    const run = () => {
      lane.running++
      lane.kind = kind
      start(() => {
        onEnd()
        if (--lane.running > 0) return
        if (lane.waiting.length > 0) lane.waiting.shift()?.()
        // A socket that writes in one conversation needs no new lane, nor a new table of the map, for each command.
        else if (this.lanes.size > 1) this.lanes.delete(conversationId)
      })
    }
    if (lane.running === 0 || (kind === "send" && lane.kind === "send" && lane.waiting.length === 0)) run()
    else lane.waiting.push(run)
  }
}
