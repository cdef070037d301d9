import { DirectionProvider } from "@base-ui/react/direction-provider"
import type { Chat } from "chat-service/client"
import { ChatProvider, useChat, useChatState, useConnection } from "chat-service/client/react"
import { MessagesSquare } from "lucide-react"
import { lazy, type ReactNode, Suspense, useEffect, useRef, useState } from "react"
import { SignIn } from "./account/SignIn.tsx"
import { ConnectionBanner } from "./ConnectionBanner.tsx"
import { MembersProvider } from "./chat/members.tsx"
import { PeopleProvider } from "./chat/people.tsx"
import { goTo, openConversation, type Route, useRoute } from "./chat/route.ts"
import { connect, forgetSession, useSession } from "./chat/session.ts"
import { StarsProvider } from "./chat/stars.tsx"
import type { Tokens } from "./chat/types.ts"
import { ConversationView } from "./conversation/ConversationView.tsx"
import { ThreadPanel } from "./conversation/ThreadPanel.tsx"
import { Shortcuts } from "./Shortcuts.tsx"
import { Sidebar } from "./sidebar/Sidebar.tsx"
import { explain } from "./text/failure.ts"
import { direction } from "./text/language.ts"
import { text } from "./text/text.ts"
import { Notices, notify } from "./ui/notices.tsx"

const DetailsPanel = lazy(() => import("./details/DetailsPanel.tsx"))
const PinsPanel = lazy(() => import("./lists/PinsPanel.tsx"))
const Saved = lazy(() => import("./lists/Saved.tsx"))
const Scheduled = lazy(() => import("./lists/Scheduled.tsx"))

const Nothing = () => (
  <main className="conversation nothing">
    <div className="empty">
      <MessagesSquare aria-hidden="true" />
      <h1>{text.select}</h1>
      <p>{text.selectHint}</p>
    </div>
  </main>
)

/** Joins the group of an invite that was opened. */
const useInvite = (route: Route) => {
  const chat = useChat()
  const code = route.name === "invite" ? route.code : null
  useEffect(() => {
    if (code === null) return
    chat.ask("invite.accept", { code }).then(
      ({ id }) => openConversation(id),
      (error: unknown) => {
        notify(explain(error))
        goTo({ name: "home" })
      }
    )
  }, [chat, code])
}

/** The number of conversations with something unread stands in the title of the page. */
const useTitle = () => {
  const unread = useChatState(
    ({ conversations }) => [...conversations.values()].filter(({ conversation: { me } }) => me.unreadCount > 0).length
  )
  useEffect(() => {
    document.title = unread === 0 ? text.app : `(${unread}) ${text.app}`
  }, [unread])
}

/** A conversation, and what is shown next to it. */
const Open = ({ route: { id, panel, seq } }: { readonly route: Extract<Route, { readonly name: "conversation" }> }) => (
  <MembersProvider key={id} id={id}>
    <ConversationView id={id} seq={seq} />
    {panel?.kind === "thread" && <ThreadPanel key={panel.messageId} conversationId={id} messageId={panel.messageId} />}
    <Suspense>
      {panel?.kind === "details" && <DetailsPanel id={id} />}
      {panel?.kind === "pins" && <PinsPanel id={id} />}
    </Suspense>
  </MembersProvider>
)

/** What stands next to the list of conversations. */
const Main = ({ route }: { readonly route: Route }) => {
  switch (route.name) {
    case "conversation":
      return <Open route={route} />
    case "saved":
      return <Saved />
    case "scheduled":
      return <Scheduled />
    default:
      return <Nothing />
  }
}

/** The close codes of sessions that were ended, and of accounts that were deleted or disabled. */
const revoked = new Set([4503, 4504])

const Chatting = ({ onEnd, signedIn }: { readonly onEnd: () => void; readonly signedIn: boolean }) => {
  const route = useRoute()
  const chat = useChat()
  const connection = useConnection()
  useInvite(route)
  useTitle()
  useEffect(() => {
    if (connection.status !== "closed" || connection.why === null) return
    // Somebody has ended this session or the account, so nothing of it may stay here. What an expired one has stays.
    if (revoked.has(connection.why.code)) chat.forget().catch(() => {})
    onEnd()
  }, [chat, connection, onEnd])
  const open = route.name === "conversation" ? route : null
  const atList = route.name === "home" || route.name === "invite"
  return (
    <div className={`shell ${atList ? "at-list" : "at-conversation"} ${open?.panel != null ? "with-panel" : ""}`}>
      <ConnectionBanner />
      <Sidebar selected={open?.id ?? null} focused={signedIn} />
      <Suspense>
        <Main route={route} />
      </Suspense>
      <Shortcuts />
    </div>
  )
}

/** Connects as a user for as long as this is shown. */
const Connected = ({ children, tokens }: { readonly tokens: Tokens; readonly children: ReactNode }) => {
  const [chat, setChat] = useState<Chat | null>(null)
  useEffect(() => {
    const connected = connect(tokens)
    setChat(connected)
    return () => void connected.close()
  }, [tokens])
  return (
    chat && (
      <ChatProvider chat={chat}>
        <PeopleProvider>
          <StarsProvider>{children}</StarsProvider>
        </PeopleProvider>
      </ChatProvider>
    )
  )
}

/** The page: a chat for who is signed in, else the way to that. */
export const App = () => {
  const session = useSession()
  const [ended, setEnded] = useState(false)
  // The form that had the focus is gone after signing in.
  const signedIn = useRef(false)
  if (session === undefined) signedIn.current = true
  return (
    <DirectionProvider direction={direction}>
      {session === undefined ? (
        <SignIn ended={ended} />
      ) : (
        <Connected key={session.sessionId} tokens={session}>
          <Chatting
            signedIn={signedIn.current}
            onEnd={() => {
              setEnded(true)
              forgetSession()
            }}
          />
        </Connected>
      )}
      <Notices />
    </DirectionProvider>
  )
}
