/** The sides of the squares that the service makes of an avatar, in pixels. The first one is that of the plain URL. */
export const avatarSizes = [512, 128] as const
export type AvatarSize = (typeof avatarSizes)[number]

/**
 * The path under which an uploaded avatar is served to everybody. Its id is random and belongs to one upload: nobody can
 * guess the path, and what it serves never changes. `avatar_path` in SQL.
 */
export const avatarPath = (id: string): string => `/v1/avatars/${id}`
