import { Schema } from "effect"
import { Timestamp } from "./Ids.ts"
import { User } from "./User.ts"

/** Whom I have blocked, and since when. */
export const Block = Schema.Struct({ user: User, createdAt: Timestamp }).annotate({ identifier: "Block" })
export type Block = typeof Block.Type
