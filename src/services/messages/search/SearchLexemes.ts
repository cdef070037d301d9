import type { ConversationId, UserId } from "../../../domain/Ids.ts"
import { quoted } from "./Tokenizer.ts"

/** A week in milliseconds. */
export const weekMs = 7 * 24 * 3600 * 1000

// Each message has three lexemes in addition to its words. With them the same index serves a search in a few
// conversations, one in recent weeks, and one for a sender. No word contains a space, so they never equal a word.

/** The lexeme of all messages of a conversation. */
export const conversationLexeme = (id: ConversationId) => quoted(`c ${id}`)

/** The lexeme of all messages of a sender. */
export const senderLexeme = (id: UserId) => quoted(`s ${id}`)

/** The lexeme of all messages of a week; weeks are counted from 1970. */
export const weekLexeme = (week: number) => quoted(`w ${week}`)

/** The week of a time in milliseconds. */
export const weekOf = (at: number) => Math.floor(at / weekMs)
