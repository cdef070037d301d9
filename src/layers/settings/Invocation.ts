/** What is written before the flags to start the service: the command of the package, whose files are compiled, or a script. */
export const invocation = import.meta.url.endsWith(".js") ? "chat-service" : "npm start --"
