import { Schema } from "effect"
import { Timestamp } from "./Time.ts"
import { User } from "./User.ts"

/** A user whom I have blocked. */
export const Block = Schema.Struct({ user: User, createdAt: Timestamp }).annotate({ identifier: "Block" })
export type Block = typeof Block.Type
