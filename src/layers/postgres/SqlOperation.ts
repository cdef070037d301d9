/** Replaces everything in parentheses by `§`, the innermost first, so that only the outer statement is left. */
const withoutParentheses = (sql: string): string => {
  const shorter = sql.replaceAll(/\([^()]*\)/g, "§")
  return shorter === sql ? sql : withoutParentheses(shorter)
}

/** A verb with its table, or a SELECT from a function, whose parentheses are a `§`. */
const verb =
  /\b(?:(SELECT)\b(?:.*?\bFROM\s+(\w+)(\s*§)?)?|(INSERT)\s+INTO\s+(\w+)|(UPDATE)\s+(\w+)|(DELETE)\s+FROM\s+(\w+))/is

/**
 * A short name for a statement: the function that it calls, or its verb and table. It labels metrics and decides nothing
 * else, so a name that is less exact does no harm; the unit test lists examples. The number of names is bounded by the
 * number of statements in the program, because parameters are not part of the text.
 */
export const operationOf = (sql: string): string => {
  const plain = withoutParentheses(sql)
  const found = verb.exec(plain)
  if (found === null) return (/\w+/.exec(plain)?.[0] ?? "other").toLowerCase()
  const [, select, from, isCall, insert, into, update, updated, remove, removed] = found
  if (select !== undefined && isCall !== undefined && from !== undefined && from !== "unnest") return from.toLowerCase()
  const action = select ?? insert ?? update ?? remove ?? "other"
  const table = from ?? into ?? updated ?? removed
  return (table === undefined ? action : `${action} ${table}`).toLowerCase()
}
