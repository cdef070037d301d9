import { Schema } from "effect"
import { Problem } from "../domain/Problem.ts"

const encodeProblem = Schema.encodeSync(Problem)
const encodedProblems = new WeakMap<Problem, string>()

/** The JSON of a problem, made once: those that a flood of commands is answered with are the same again and again. */
export const jsonOf = (problem: Problem): string => {
  const known = encodedProblems.get(problem)
  if (known !== undefined) return known
  const json = JSON.stringify(encodeProblem(problem))
  encodedProblems.set(problem, json)
  return json
}
