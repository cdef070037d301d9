import { Context } from "effect"

/** The place of the store of files, by which nodes find out whether they share it; undefined without a store. */
export const FilePlace = Context.Reference<string | undefined>("chat/services/FilePlace", {
  defaultValue: () => undefined
})
