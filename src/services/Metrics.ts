import { Metric } from "effect"

/** Events that a node read from the log because the bus had not brought them; `hole`: a later one came, `head`: none. */
export const repairedEvents = (cause: "hole" | "head") =>
  Metric.withAttributes(
    Metric.counter("chat_repaired_events_total", {
      description: "Events read from the log because the bus had not brought them, by what told of them",
      incremental: true
    }),
    { cause }
  )

/** 1 while the dependency answers, or is in the process; 0 while it does not. */
export const dependencyUp = (dependency: string) =>
  Metric.withAttributes(
    Metric.gauge("chat_dependency_up", { description: "1 while a dependency answers, 0 while it is away" }),
    { dependency }
  )
