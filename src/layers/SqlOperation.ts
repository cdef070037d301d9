/** Tables and functions stand out once what is in parentheses, innermost first, is taken out. */
const withoutParentheses = (sql: string): string => {
  const shorter = sql.replaceAll(/\([^()]*\)/g, "§")
  return shorter === sql ? sql : withoutParentheses(shorter)
}

const verb =
  /\b(?:(SELECT)\b(?:.*?\bFROM\s+(\w+)(\s*§)?)?|(INSERT)\s+INTO\s+(\w+)|(UPDATE)\s+(\w+)|(DELETE)\s+FROM\s+(\w+))/is

/**
 * A short name for a statement: the function that it calls, or its verb and table. There are as many as the program has
 * statements: parameters are no part of a statement's text.
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
