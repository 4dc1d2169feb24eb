export const tag = (text: string): string => `tier ${text}`
