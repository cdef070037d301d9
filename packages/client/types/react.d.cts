import type * as Hooks from "./client/React.js" with { "resolution-mode": "import" }

export type * from "./client/React.js" with { "resolution-mode": "import" }
export declare const ChatProvider: typeof Hooks.ChatProvider
export declare const useChat: typeof Hooks.useChat
export declare const useChatState: typeof Hooks.useChatState
export declare const useConnection: typeof Hooks.useConnection
export declare const useConversation: typeof Hooks.useConversation
export declare const useConversations: typeof Hooks.useConversations
export declare const useMessages: typeof Hooks.useMessages
export declare const usePresence: typeof Hooks.usePresence
