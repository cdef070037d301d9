import { Conflict, invalid } from "../domain/Problem.ts"
import { blocked } from "./ConversationRules.ts"
import { noMessage } from "./LogReader.ts"

/** Why a vote does not count, by the outcome. */
export const voteProblems = {
  "no-message": noMessage,
  blocked,
  "not-a-poll": new Conflict({ code: "not-a-poll", detail: "That message is not a poll" }),
  "poll-closed": new Conflict({ code: "poll-closed", detail: "That poll is closed" }),
  "one-option": invalid("options", "must be a single one: this poll does not take several"),
  "no-option": invalid("options", "must be places of options of this poll, from 0 on")
}
