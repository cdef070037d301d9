import type * as Client from "./client/Client.js" with { "resolution-mode": "import" }

export type * from "./client/Client.js" with { "resolution-mode": "import" }
export declare const Chat: typeof Client.Chat
export type Chat = Client.Chat
export declare const ConnectionLost: typeof Client.ConnectionLost
export type ConnectionLost = Client.ConnectionLost
export declare const Refused: typeof Client.Refused
export type Refused = Client.Refused
export declare const indexedDatabase: typeof Client.indexedDatabase
export declare const memoryDatabase: typeof Client.memoryDatabase
